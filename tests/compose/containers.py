"""The containers of the mesh under test: where they are, and the ways to hurt them."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually

COMPOSE = shlex.split(os.environ.get("PODIUM_COMPOSE", "docker compose"))
PARTS = ("gateway", "run", "workflow", "task", "totp", "browser-session", "webhook")
READY_WITHIN_S = 120.0


async def command(*arguments: str) -> str:
    """Run a program; its stdout. Fails with what it said."""
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"{shlex.join(arguments)}: {err.decode()}"
    return out.decode().strip()


@dataclass(frozen=True)
class Container:
    """One container, by its name."""

    name: str

    async def inspect(self) -> dict:
        """What the engine knows about it."""
        return json.loads(await command("docker", "inspect", self.name))[0]

    async def healthy(self) -> None:
        """Returns when its health check says so."""

        async def is_healthy() -> bool:
            return (await self.inspect())["State"].get("Health", {}).get("Status") == "healthy"

        await eventually(is_healthy, within=READY_WITHIN_S)

    async def die(self) -> None:
        """Killed, and started again as its restart policy would."""
        await command("docker", "kill", self.name)
        await command("docker", "start", self.name)

    async def restart(self) -> None:
        """Stopped as an update would stop it, and started."""
        await command("docker", "restart", "--time", "20", self.name)

    async def freeze(self, seconds: float) -> None:
        """Stopped in the middle of what it does, connections open."""
        await command("docker", "pause", self.name)
        await asyncio.sleep(seconds)
        await command("docker", "unpause", self.name)

    async def cut_off(self, seconds: float) -> None:
        """Off the network: nothing it sends arrives, and nothing says so."""
        networks = (await self.inspect())["NetworkSettings"]["Networks"]
        (network, how), *_ = networks.items()
        aliases = [f"--alias={alias}" for alias in how["Aliases"] or ()]
        await command("docker", "network", "disconnect", network, self.name)
        await asyncio.sleep(seconds)
        await command("docker", "network", "connect", *aliases, network, self.name)


@dataclass(frozen=True)
class RunningContainers:
    """The mesh, with what a story needs to know of it."""

    home: Path
    edge: str
    rest: str
    api_key: str
    outside: str
    address: str
    containers: dict[str, tuple[Container, ...]]

    def of(self, part: str) -> tuple[Container, ...]:
        """The replicas of a part."""
        return self.containers[part]

    def browsers(self) -> list[str]:
        """Processes of every Chromium of the mesh."""
        found: list[str] = []
        for container in self.of("browser-session"):
            top = ["docker", "top", container.name, "-eo", "pid,args"]
            listed = subprocess.run(top, capture_output=True, text=True, check=True).stdout
            found += [line for line in listed.splitlines() if "headless" in line]
        return found


async def running(home: Path) -> RunningContainers:
    """The mesh that is up; fails when none is."""
    edge = await command(*COMPOSE, "port", "envoy", "8080")
    key_file = "/secrets/podium_first_api_key"
    api_key = await command(*COMPOSE, "exec", "-T", "gateway", "cat", key_file)
    (home / "secrets").mkdir()
    (home / "secrets" / "api-key").write_text(api_key)
    listed = await command(*COMPOSE, "ps", "--format", "json")
    found = [json.loads(line) for line in listed.splitlines()]
    names = {each["Service"] for each in found}
    containers = {
        name: tuple(Container(each["Name"]) for each in found if each["Service"] == name)
        for name in names
    }
    network = (await containers["envoy"][0].inspect())["NetworkSettings"]["Networks"]
    (bridge,) = network.values()
    return RunningContainers(
        home=home,
        edge=edge,
        rest=f"http://{edge}",
        api_key=api_key,
        outside=bridge["Gateway"],
        address=edge,
        containers=containers,
    )
