"""The values file: how Envoy is to treat traffic, checked before it becomes configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy import layout
from libs.settings import environment

FILE = layout.ROOT / "deploy" / "traffic.yaml"
REGISTRY = "registry"
Source = Literal["registry", "names"]


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(_Values):
    """Envoy's own look at each replica."""

    interval_s: float = Field(default=1, gt=0)
    timeout_s: float = Field(default=1, gt=0)
    unhealthy_interval_s: float = Field(default=0.1, gt=0, description="while it does not answer")
    unhealthy_after: int = Field(default=2, ge=1)
    healthy_after: int = Field(default=1, ge=1)


class Outliers(_Values):
    """When a replica that takes no connections is left out, and for how long."""

    refused_in_a_row: int = Field(default=2, ge=1)
    look_every_s: float = Field(default=1, gt=0)
    ejected_s: float = Field(default=5, gt=0)
    longest_ejected_s: float = Field(default=30, gt=0)
    most_percent: int = Field(
        default=67, ge=0, le=100, description="of a service's replicas at once"
    )


class Retries(_Values):
    """How often Envoy tries again what may be tried again."""

    times: int = Field(default=3, ge=0, le=10)
    budget_percent: float = Field(default=25, ge=0, le=100, description="of the calls in flight")
    least_in_flight: int = Field(default=200, ge=1)
    back_off_ms: int = Field(default=10, ge=1)
    longest_back_off_ms: int = Field(default=100, ge=1)


class Limits(_Values):
    """The most of each service's traffic."""

    connections: int = Field(default=1024, ge=1)
    pending: int = Field(default=1024, ge=1)
    requests: int = Field(default=4096, ge=1)


class EdgeLimits(_Values):
    """What all clients together may do."""

    rate_per_s: float = Field(default=5000, ge=0, description="0: no limit")
    burst: int = Field(default=10_000, ge=1)
    connections: int = Field(default=10_000, ge=1)


class Canary(_Values):
    """A service's new version on trial."""

    percent: float = Field(
        default=0, ge=0, le=100, description="of the calls that ask for nothing else"
    )
    header: bool = Field(default=True, description='whether "x-podium-canary: 1" leads to it')


class Traffic(_Values):
    """The whole file."""

    discovery: Source = Field(default="names", description="where replicas in containers come from")
    connect_timeout_s: float = Field(default=2, gt=0)
    health: Health = Health()
    outliers: Outliers = Outliers()
    retries: Retries = Retries()
    limits: Limits = Limits()
    edge: EdgeLimits = EdgeLimits()
    canary: dict[str, Canary] = Field(default_factory=dict)


class BadValues(Exception):
    """The values file cannot be used; the text says where and why."""


def load(file: Path | None = None) -> Traffic:
    """The values of a file; of the one that PODIUM_TRAFFIC names, or the tree's own."""
    file = file or Path(environment("PODIUM_TRAFFIC") or FILE)
    try:
        read = Traffic.model_validate(yaml.safe_load(file.read_text()) or {})
    except (OSError, yaml.YAMLError) as error:
        raise BadValues(f"{file} cannot be read: {error}") from None
    except ValidationError as error:
        why = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise BadValues(f"{file}: " + "; ".join(why)) from None
    if strangers := set(read.canary) - set(layout.services()):
        raise BadValues(f"{file}: canary: there is no service {', '.join(sorted(strangers))}")
    return read
