"""What a local mesh consists of: each child, its command, its addresses and its environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from deploy import binaries, children, keys, layout, ports, processes, state
from deploy.certs.issuer import Issuer
from deploy.discovery import files
from deploy.envoy import config, traffic
from deploy.envoy import tls as envoy_tls
from deploy.layout import Layout
from libs.rpc import spiffe

GATEWAY = "gateway"
DISCOVERY = "discovery"
# Imported by the supervisor before it forks, besides each service's own modules: what `serve`
# imports late. Nothing here starts a thread or a channel.
HEAVY = ("libs.rpc.serve", "sqlalchemy.dialects.sqlite")


@dataclass(frozen=True)
class Composition:
    """The children of one mesh; asking starts nothing."""

    layout: Layout
    edge: str
    replicas_of: Mapping[str, int] = field(default_factory=dict)
    detached: bool = False
    first_start: bool = False  # the gateway has yet to make the first API key
    tls: bool = False  # TCP with mutual TLS between the parts, in the place of unix sockets

    @property
    def admin_socket(self) -> Path:
        """Envoy's admin interface."""
        return self.layout.socket("admin")

    @cached_property
    def redis_url(self) -> str:
        """The bus: the given one, else the Valkey that this mesh starts."""
        own = f"unix://{self.layout.socket('valkey')}?db=0"
        return os.environ.get("PODIUM_REDIS_URL") or own

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many replicas each service and the gateway have."""
        return {name: self.replicas_of.get(name, 1) for name in [*layout.services(), GATEWAY]}

    def programs(self) -> list[children.Spec]:
        """Envoy, and Valkey unless another Redis is named."""
        specs = [self._envoy()]
        if not os.environ.get("PODIUM_REDIS_URL"):
            specs.append(self._valkey())
        if self.tls:
            specs.append(self._keeper())
        return specs

    def modules(self) -> list[str]:
        """Every service's door and what it needs."""
        doors = [f"services.{name}.service" for name in layout.services()]
        return [*HEAVY, *doors, "gateway.app", "deploy.discovery.agent"]

    def replicas(self) -> list[children.Spec]:
        """Every replica of every service, and the gateways."""
        common = self._environment()
        numbered = [
            self._replica(name, number, common)
            for name, count in self.counts.items()
            for number in range(1, count + 1)
        ]
        return [self._discovery(common), *numbered]

    def scaled(self) -> Composition:
        """The same with as many replicas as the scale file now says."""
        wanted = json.loads(self.layout.scale_file.read_text())
        made = replace(self, replicas_of={**self.counts, **wanted})
        # Who is there stays where it is.
        made.__dict__.update(_ports=self._ports, _free_ports=self._free_ports)
        return made

    def write_envoy_config(self) -> None:
        """Envoy's configuration, at first exactly these replicas, and the certificates it names."""
        if self.tls:
            Issuer.of(self.layout.certificates).issue_due()
            for name, content in envoy_tls.secrets(self._envoy_tls).items():
                (self.layout.certificates / name).write_text(json.dumps(content))
        plan = self._plan()
        self.layout.scale_file.unlink(missing_ok=True)
        files.prepare(self.layout.endpoints, plan.clusters(), anew=True)
        self.layout.envoy_config.write_text(json.dumps(config.build(plan), indent=2))

    def target(self, name: str) -> str:
        """Where a part listens: its socket, or a port that it keeps as long as the mesh is up."""
        if not self.tls:
            return self.layout.target(name)
        if name not in self._ports:
            self._ports[name] = next(self._free_ports)
        return self._ports[name]

    def describe(self, started_in_s: float, described: list[state.ChildState]) -> state.MeshState:
        """What the state file says."""
        return state.MeshState(
            pid=os.getpid(),
            started=processes.start_time(os.getpid()),
            edge=self.edge,
            mesh_target=self.target("mesh"),
            tls=self.tls,
            admin=str(self.admin_socket),
            redis_url=self.redis_url,
            replicas=self.counts,
            detached=self.detached,
            first_start=self.first_start,
            started_in_s=round(started_in_s, 2),
            children=described,
        )

    def _replica(self, name: str, number: int, common: Mapping[str, str]) -> children.Spec:
        called = f"{name}-{number}"
        addresses = [self.target(called)]
        own = {
            "PODIUM_SERVICE": name,
            "PODIUM_REPLICA": str(number),
            "PODIUM_LISTEN": addresses[0],
            "PODIUM_SERVICE_TOKEN": self._keys.token(name),
            "PODIUM_VAULT_KEYS": self._keys.vault_of(name),
        }
        if name == GATEWAY:
            addresses.append(self.target(f"{called}-http"))
            own["PODIUM_HTTP_LISTEN"] = addresses[1]
        if self.tls:
            own["PODIUM_TLS_DIR"] = str(self.layout.certificates / name)
        module = GATEWAY if name == GATEWAY else f"services.{name}"
        return children.Spec(
            name=called,
            log=self.layout.log(called),
            begin=children.module(module),
            env={**common, **own},
            addresses=tuple(addresses),
            behind_envoy=True,
        )

    def _discovery(self, common: Mapping[str, str]) -> children.Spec:
        own = {"PODIUM_REPLICA": "1", "PODIUM_ENDPOINTS": str(self.layout.endpoints)}
        begin = children.module("deploy.discovery")
        return children.Spec(DISCOVERY, self.layout.log(DISCOVERY), begin, {**common, **own})

    def _environment(self) -> dict[str, str]:
        """What every replica is told; what the person set for themselves is kept."""
        told = {
            "PODIUM_HOME": str(self.layout.home),
            "PODIUM_MESH_ADDRESS": self.target("mesh"),
            "PODIUM_REDIS_URL": self.redis_url,
            "PODIUM_TOKEN_PUBLIC_KEY": self._keys.public,
        }
        usual = {
            "PODIUM_CHROMIUM": str(binaries.chromium()),
            # On one's own machine, the page and the webhook receiver are usually there too.
            "PODIUM_ALLOW_PRIVATE_TARGETS": "true",
            "PODIUM_PUBLIC_URL": f"http://{self.edge}",
        }
        return {name: os.environ.get(name, value) for name, value in usual.items()} | told

    @cached_property
    def _ports(self) -> dict[str, str]:
        return {}

    @cached_property
    def _free_ports(self) -> Iterator[str]:
        return ports.free()

    @cached_property
    def _envoy_tls(self) -> envoy_tls.Tls:
        folder = self.layout.certificates
        return envoy_tls.Tls(str(folder / spiffe.ENVOY), str(folder))

    @cached_property
    def _keys(self) -> keys.Keys:
        return keys.keys_of(self.layout)

    def _plan(self) -> config.Plan:
        def targets(name: str, suffix: str = "") -> list[str]:
            numbers = range(1, self.counts[name] + 1)
            return [self.target(f"{name}-{number}{suffix}") for number in numbers]

        return config.Plan(
            edge=self.edge,
            mesh=self.target("mesh"),
            tls=self._envoy_tls if self.tls else None,
            admin=f"unix:{self.admin_socket}",
            services={name: targets(name) for name in layout.services()},
            gateway_grpc=targets(GATEWAY),
            gateway_http=targets(GATEWAY, "-http"),
            endpoints=str(self.layout.endpoints),
            traffic=traffic.load(),
            otlp=os.environ.get("PODIUM_OTLP_ENDPOINT", ""),
        )

    def _envoy(self) -> children.Spec:
        begin = children.program(
            binaries.envoy(),
            *("--config-path", str(self.layout.envoy_config)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"),
        )
        addresses = (self.edge, self.target("mesh"))
        return children.Spec("envoy", self.layout.log("envoy"), begin, addresses=addresses)

    def _keeper(self) -> children.Spec:
        """Whoever renews certificates before they run out."""
        begin = children.module("deploy.certs.keeper")
        env = {"PODIUM_HOME": str(self.layout.home)}
        return children.Spec("certs", self.layout.log("certs"), begin, env=env)

    def _valkey(self) -> children.Spec:
        folder = self.layout.data / "valkey"
        folder.mkdir(exist_ok=True)
        begin = children.program(
            binaries.valkey(),
            *("--port", "0", "--unixsocket", str(self.layout.socket("valkey"))),
            *("--unixsocketperm", "600", "--dir", str(folder)),
            *("--appendonly", "yes", "--save", "", "--loglevel", "warning"),
        )
        addresses = (self.layout.target("valkey"),)
        return children.Spec("valkey", self.layout.log("valkey"), begin, addresses=addresses)
