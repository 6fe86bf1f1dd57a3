"""admin config: settings of the running mesh, and who changed them."""

from __future__ import annotations

import click

from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from podium.mesh.v1 import mesh_pb2

AS_STARTED = "as started"


@click.group(cls=Group)
def config() -> None:
    """Settings that running processes heed, with a key of the operator's organisation."""


@config.command("list")
@terminal
def list_(term: Terminal) -> None:
    """Every setting, and where it is not as the processes were started."""
    found = term.edge.ask(term.edge.mesh.ListSettings, mesh_pb2.ListSettingsRequest())
    columns = [("setting", "name"), ("changed to", "values"), ("what", "description")]
    term.show_list("settings", found.settings, columns)


@config.command("set")
@click.argument("name")
@click.argument("value")
@click.option("--for", "scope", default="", help="One service alone, such as totp.")
@terminal
def set_(term: Terminal, name: str, value: str, scope: str) -> None:
    """Change a setting: podium admin config set breaker_threshold 3 --for totp."""
    _change(term, name, value, scope)


@config.command()
@click.argument("name")
@click.option("--for", "scope", default="", help="One service alone, such as totp.")
@terminal
def reset(term: Terminal, name: str, scope: str) -> None:
    """Let a setting be again as the processes were started."""
    _change(term, name, "", scope)


@config.command()
@limit_option
@terminal
def history(term: Terminal, limit: int) -> None:
    """Who changed which setting, when, from what to what; newest first."""
    found = term.edge.pages(
        term.edge.mesh.ListSettingChanges, mesh_pb2.ListSettingChangesRequest(), "changes", limit
    )
    columns = [
        ("when", "change_time"),
        ("setting", "setting"),
        ("before", "before"),
        ("after", "after"),
        ("by", "key_id"),
    ]
    term.show_list("changes", found, columns)


def _change(term: Terminal, name: str, value: str, scope: str) -> None:
    asked = mesh_pb2.ChangeSettingRequest(name=name, scope=scope, value=value)
    answer = term.edge.ask(term.edge.mesh.ChangeSetting, asked)
    if term.as_json:
        term.show(answer, ())
        return
    before, after = answer.before or AS_STARTED, answer.after or AS_STARTED
    where = f" of {scope}" if scope else ""
    same = "is already" if before == after else f"was {before}, is now"
    term.tell(f"{name}{where} {same} {after}.")
