"""What every command has in common: `--json`, before or after its name."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.terminal import Terminal

terminal = click.make_pass_decorator(Terminal)


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Terminal).as_json = True


def _json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="Print JSON on stdout and nothing else there.",
    )


class Command(click.Command):
    """A command that takes --json."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


class Group(click.Group):
    """A group whose commands, and which itself, take --json."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


def limit_option(function: Any) -> Any:
    """--limit of the commands that list things."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 10_000),
        default=50,
        show_default=True,
        help="Most entries to print; pages are followed as needed.",
    )(function)
