"""certs: the authority of a mesh and the certificate of each part, for mutual TLS."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from deploy.certs.issuer import LASTS, Entry, Issuer
from deploy.layout import Layout
from gateway.cli.commands import Group, terminal
from gateway.cli.terminal import Terminal
from libs import errors
from libs.rpc import spiffe

HOUR = timedelta(hours=1)
MOST_HOURS = 24 * 90


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the certificates; by default secrets/tls of the home.",
)
@click.option("--environment", default="", help='Goes into every id: "staging"; none by default.')
@click.option(
    "--hours",
    type=click.IntRange(1, MOST_HOURS),
    default=LASTS // HOUR,
    show_default=True,
    help="How long a certificate lasts.",
)
@click.pass_context
def certs(ctx: click.Context, folder: Path | None, environment: str, hours: int) -> None:
    """Make an authority and a certificate for each part; what is there and good is kept."""
    term = ctx.ensure_object(Terminal)
    if not spiffe.is_environment(environment):
        raise errors.Invalid("--environment", "must be lower-case letters, digits and dashes")
    issuer = Issuer.of(folder or Layout(term.home).certificates, environment, hours * HOUR)
    if ctx.invoked_subcommand is not None:
        ctx.meta["podium.issuer"] = issuer
        return
    made = issuer.issue_due()
    term.tell(f"Certificates made for {', '.join(made)}." if made else "All are there and fresh.")
    _show(term, issuer)


@certs.command()
@click.option("--authority", is_flag=True, help="Replace the authority as well.")
@terminal
@click.pass_context
def renew(ctx: click.Context, term: Terminal, authority: bool) -> None:
    """Give every part a new certificate. A mesh that is up goes on without a pause."""
    issuer = _as_before(_existing(ctx))
    if authority:
        issuer.replace_authority()
    else:
        issuer.issue_all()
    _show(term, issuer)


@certs.command()
@terminal
@click.pass_context
def show(ctx: click.Context, term: Terminal) -> None:
    """Who has a certificate, under which name, and until when."""
    _show(term, _existing(ctx))


def _existing(ctx: click.Context) -> Issuer:
    issuer: Issuer = ctx.meta["podium.issuer"]
    if not issuer.exists():
        raise errors.FailedPrecondition(
            f"there are no certificates in {issuer.authority.parent}; `podium certs` makes them"
        )
    return issuer


def _as_before(issuer: Issuer) -> Issuer:
    """Renewed, a certificate keeps its name and lasts as long as the one before."""
    for entry in issuer.entries():
        environment = spiffe.environment_of(entry.spiffe_id)
        return replace(issuer, environment=environment, lasts=entry.lasts)
    return issuer


def _show(term: Terminal, issuer: Issuer) -> None:
    entries = issuer.entries()
    if term.as_json:
        term.emit({"certificates": [_facts(entry) for entry in entries]})
        return
    now = term.clock.now()
    part, name = (max(map(len, column), default=0) for column in _columns(entries))
    for entry in entries:
        until = f"until {entry.not_after:%Y-%m-%d %H:%M} UTC, {_left(entry, now)}"
        term.tell(f"{entry.part:<{part}}  {entry.spiffe_id:<{name}}  {until}")


def _columns(entries: list[Entry]) -> tuple[list[str], list[str]]:
    return [entry.part for entry in entries], [entry.spiffe_id for entry in entries]


def _left(entry: Entry, now: datetime) -> str:
    left = entry.not_after - now
    return f"{left / HOUR:.1f} h left" if left > timedelta() else "EXPIRED"


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "part": entry.part,
        "spiffe_id": entry.spiffe_id,
        "serial": entry.serial,
        "not_before": entry.not_before.isoformat(),
        "not_after": entry.not_after.isoformat(),
    }
