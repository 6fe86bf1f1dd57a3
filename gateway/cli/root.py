"""The root of the command: its groups in one list, and how it ends.

Exit codes are in `exits.py`; `podium --help` prints them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli import exits
from gateway.cli.commands import Group
from gateway.cli.terminal import Terminal

DEFAULT_HOME = Path("var")
# Each command and the module it is in, where it has its own name. A module is imported when its
# command is wanted: all of them together take longer than most commands do.
COMMANDS = {
    "up": "mesh",
    "down": "mesh",
    "scale": "mesh",
    "status": "mesh",
    "run": "runs",
    "watch": "runs",
    "runs": "runs",
    "workflows": "workflows",
    "sessions": "sessions",
    "profiles": "profiles",
    "totp": "totp",
    "webhooks": "webhooks",
    "alerts": "alerts",
    "admin": "admin",
    "certs": "certs",
    "call": "calling",
    "trace": "tracing",
    "demo": "demo",
}


class _Root(Group):
    """The group of all commands."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Their names, as `podium --help` lists them."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, imported now."""
        if (module := COMMANDS.get(cmd_name)) is None:
            return None
        return getattr(importlib.import_module(f"gateway.cli.{module}"), cmd_name)


@click.group(cls=_Root, epilog=exits.EPILOG, context_settings={"max_content_width": 100})
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
