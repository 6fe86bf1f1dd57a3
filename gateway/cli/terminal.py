"""The two sides of the command: the person's terminal and the edge it talks to."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from deploy import local
from gateway.cli.edge import Edge
from libs.clock import Clock
from libs.wire import as_dict

Column = tuple[str, str]  # heading, field path such as "failure.reason"


@dataclass
class Terminal:
    """What a command gets: where to print, and the edge, opened when first used."""

    home: Path = Path("var")
    address_option: str = ""
    as_json: bool = False
    clock: Clock = field(default_factory=Clock)

    @cached_property
    def out(self) -> Console:
        """Stdout for people."""
        return Console(highlight=False, soft_wrap=not sys.stdout.isatty())

    @cached_property
    def address(self) -> str:
        """Where the edge is: as told, else where the local mesh says, else the usual place."""
        if self.address_option:
            return self.address_option
        running = local.status(self.home)
        return running.edge if running else f"127.0.0.1:{local.DEFAULT_EDGE_PORT}"

    @cached_property
    def api_key(self) -> str:
        """The API key of the environment, else that of the home, else none."""
        # Imported here because it takes a fifth of a second, which `--help` need not wait for.
        from libs.settings import environment

        if given := environment("PODIUM_API_KEY"):
            return given
        try:
            return (self.home / "secrets" / "api-key").read_text().strip()
        except OSError:
            return ""

    @cached_property
    def edge(self) -> Edge:
        """The edge, opened when first used."""
        return Edge(self.address, self.api_key)

    def mesh_is_up(self) -> bool:
        """Whether a local mesh runs in the home."""
        return local.status(self.home) is not None

    def say(self, text: str) -> None:
        """A line for the person, on stderr."""
        click.echo(text, err=True)

    def tell(self, text: str) -> None:
        """A line for the person on stdout; left out with --json."""
        if not self.as_json:
            self.out.print(text, markup=False)

    def emit(self, value: Any) -> None:
        """One JSON document on stdout."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def show(self, message: Message, fields: Sequence[Column]) -> None:
        """One resource: all of it as JSON, or these fields for people."""
        values = as_dict(message)
        if self.as_json:
            self.emit(values)
            return
        grid = Table.grid(padding=(0, 2))
        for heading, path in fields:
            if text := at(values, path):
                grid.add_row(f"[dim]{heading}[/]", text)
        self.out.print(grid)

    def show_list(self, name: str, messages: Sequence[Message], columns: Sequence[Column]) -> None:
        """Many resources: {name: […]} as JSON, or a table for people."""
        rows = [as_dict(message) for message in messages]
        if self.as_json:
            self.emit({name: rows})
            return
        if not rows:
            self.out.print(f"No {name.replace('_', ' ')}.")
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for place, (heading, _) in enumerate(columns):
            # An id that is cut short cannot be copied, so the first column keeps its width.
            table.add_column(heading, no_wrap=place == 0, overflow="fold")
        for row in rows:
            table.add_row(*(at(row, path) for _, path in columns))
        self.out.print(table)

    def pause(self, seconds: float) -> None:
        """Wait a little, by the clock; the command itself has no event loop."""
        asyncio.run(self.clock.sleep(seconds))

    def close(self) -> None:
        """Close what was opened."""
        if "edge" in self.__dict__:
            self.edge.close()


def at(values: dict[str, Any], path: str) -> str:
    """The value at a dotted path as words: enum prefixes cut off, times without fractions."""
    value: Any = values
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return words(value)


def words(value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        if "_STATE_" in value and value.isupper():
            return value.split("_STATE_")[-1].lower()
        if len(value) >= 20 and value[10:11] == "T" and value.endswith("Z"):
            return f"{value[:10]} {value[11:19]}"
        return value
    if isinstance(value, list) and all(isinstance(x, str) for x in value):
        return ", ".join(value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
