"""Settings: one prefix, one place. The only module that reads the environment."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What every process of the mesh is told, from PODIUM_* variables.

    Where PODIUM_SECRETS_DIR names a folder, a file in it stands for the variable of its name
    ("podium_database_url"), so that secrets need not be in an environment. A service with settings
    of its own inherits from this one in its settings.py.
    """

    model_config = SettingsConfigDict(env_prefix="PODIUM_", extra="ignore", frozen=True)

    service: str = ""
    replica: str = Field(
        default_factory=socket.gethostname, description="tells it from others of its service"
    )
    life: str = Field("", description="names this process among all that have been this replica")
    ended_lives: list[str] = Field(
        default_factory=list, description="lives of this replica that are known to have ended"
    )
    home: Path = Path("var")
    listen: str = Field("127.0.0.1:50051", description="gRPC address this process serves at")
    advertise: str = Field(
        "", description="host that others reach this process at; empty: its own, or a socket"
    )
    stage: Literal["stable", "canary"] = Field(
        "stable", description="a canary gets the share of calls that deploy/traffic.yaml says"
    )
    version: str = Field("dev", description="what this build is called")
    mesh_address: str = Field("127.0.0.1:10000", description="Envoy's mesh listener")
    peers: dict[str, str] = Field(
        default_factory=dict, description="addresses of services to reach past Envoy"
    )
    database_url: str = Field("", description="empty: a SQLite file in the home")
    redis_url: str = "redis://127.0.0.1:6379/0"
    service_token: str = Field("", description="proves to the others who this process is")
    token_public_key: str = Field("", description="checks the others' tokens; base64 of 32 bytes")
    tls_dir: str = Field(
        "", description="folder with tls.crt, tls.key and ca.crt; empty: no TLS between the parts"
    )
    tls_environment: str = Field("", description='part of every SPIFFE id, such as "staging"')
    vault_keys: str = Field("", description='keys for secrets at rest: {"1": "<base64>"}')
    log_level: str = "INFO"
    metrics_listen: str = Field("", description='"host:port" that serves figures for Prometheus')
    traces: bool = True
    otlp_endpoint: str = Field(
        "", description='trace backend that takes OTLP over HTTP: "http://jaeger:4318"'
    )
    allow_private_targets: bool = Field(
        False, description="outgoing requests may reach private addresses (local use)"
    )
    memory_limit_mib: int = Field(
        0, ge=0, description="a process larger than this hands over and restarts; 0: no limit"
    )
    drain_grace_s: float = 4.0
    lease_ttl_s: float = 4.0
    crash_at: str = Field("", description='test hook: "run:after:5"; see libs/db/crash.py')

    def owner(self, life: str) -> str:
        """What a life of this replica is called as the holder of leases."""
        return f"{self.service}-{self.replica}-{life}"

    @property
    def data(self) -> Path:
        """Folder of the SQLite files."""
        return self.home / "data"

    @property
    def artifacts(self) -> Path:
        """Folder of screenshots and downloads."""
        return self.home / "artifacts"

    @property
    def trace_folder(self) -> Path:
        """Folder of the spans, a file for each process."""
        return self.home / "traces"


Kind = TypeVar("Kind", bound=Settings)


def load(kind: type[Kind] = Settings, **overrides: object) -> Kind:
    """Reads the settings of this process; a wrong value fails with its name and why."""
    secrets = os.environ.get("PODIUM_SECRETS_DIR") or None
    return kind(_secrets_dir=secrets, **overrides)  # type: ignore[arg-type]


def environment(name: str, default: str = "") -> str:
    """One variable, for the few places that run before there are settings."""
    return os.environ.get(name, default)


def adopt(variables: dict[str, str]) -> None:
    """Makes the variables this process's own, for a child forked from the supervisor."""
    os.environ.update(variables)


def child_environment(**changes: str) -> dict[str, str]:
    """A copy of the environment for a program that is started as a child."""
    return {**os.environ, **changes}
