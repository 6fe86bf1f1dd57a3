"""alerts: what could not be put right without a person."""

from __future__ import annotations

import click

from gateway.cli.commands import Command, limit_option, terminal
from gateway.cli.terminal import Terminal
from podium.run.v1 import run_pb2

COLUMNS = (
    ("alert", "alert_id"),
    ("raised", "create_time"),
    ("level", "level"),
    ("reason", "reason"),
    ("run", "run_id"),
    ("message", "message"),
)


@click.command(cls=Command)
@click.option("--run", "run_id", default="", help="Only alerts about this run.")
@limit_option
@terminal
def alerts(term: Terminal, run_id: str, limit: int) -> None:
    """Alerts, newest first."""
    request = run_pb2.ListAlertsRequest(run_id=run_id)
    found = term.edge.pages(term.edge.run.ListAlerts, request, "alerts", limit)
    term.show_list("alerts", found, COLUMNS)
