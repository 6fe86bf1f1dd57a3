"""The root of the command: its groups in one list, and how it ends.

Exit codes are in `exits.py`; `podium --help` prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli import (
    admin,
    alerts,
    calling,
    demo,
    exits,
    mesh,
    rebuild,
    runs,
    sessions,
    totp,
    tracing,
    views,
    webhooks,
    workflows,
)
from gateway.cli.commands import Group
from gateway.cli.terminal import Terminal

DEFAULT_HOME = Path("var")


@click.group(cls=Group, epilog=exits.EPILOG, context_settings={"max_content_width": 100})
@click.option(
    "--home",
    envvar="PODIUM_HOME",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder of the local mesh (PODIUM_HOME).",
)
@click.option(
    "--address",
    envvar="PODIUM_ADDRESS",
    default="",
    help="host:port of the edge (PODIUM_ADDRESS); by default that of the running local mesh.",
)
@click.pass_context
def podium(ctx: click.Context, home: Path, address: str) -> None:
    """Durable browser automation: run workflows, watch them, look inside the mesh.

    The API key is taken from PODIUM_API_KEY, else from secrets/api-key of the home.
    """
    ctx.obj.home = home.resolve()
    ctx.obj.address_option = address


for command in (
    *mesh.COMMANDS,
    *runs.COMMANDS,
    workflows.workflows,
    sessions.sessions,
    totp.totp,
    webhooks.webhooks,
    alerts.alerts,
    admin.admin,
    *calling.COMMANDS,
    tracing.trace,
    demo.demo,
    admin.admin,
):
    podium.add_command(command)
admin.admin.add_command(rebuild.rebuild)
for command in views.COMMANDS:
    sessions.sessions.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code."""
    terminal = Terminal()
    try:
        podium.main(arguments, prog_name="podium", obj=terminal, standalone_mode=False)
        code = exits.OK
    except Exception as problem:  # noqa: BLE001 - every problem ends in an exit code.
        code = exits.explain(problem, terminal)
    except KeyboardInterrupt:
        terminal.say("\nInterrupted.")
        code = exits.INTERRUPTED
    finally:
        terminal.close()
    sys.exit(code)


__all__ = ["main", "podium"]
