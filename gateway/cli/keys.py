"""admin keys: the keys that seal secrets at rest, and how much rests under which."""

from __future__ import annotations

import click

from deploy import rotation
from deploy.layout import Layout
from deploy.rotation import Rows
from gateway.cli.commands import Group, terminal
from gateway.cli.terminal import Terminal


@click.group(cls=Group)
def keys() -> None:
    """Keys that seal secrets at rest."""


@keys.command("list")
@terminal
def list_(term: Terminal) -> None:
    """Keys by id, and how many sealed values of each service rest under them."""
    home = Layout(term.home)
    _show(term, rotation.key_ids(home), rotation.count(home))


@keys.command()
@terminal
def rotate(term: Terminal) -> None:
    """Make a new key and seal every secret with it. The mesh must be down."""
    home = Layout(term.home)
    newest, done = rotation.rotate(home)
    term.tell(f"Key {newest} is made; {sum(rows.resealed for rows in done)} values sealed anew.")
    _show(term, rotation.key_ids(home), done)


@keys.command()
@click.argument("key_id", type=int)
@terminal
def drop(term: Terminal, key_id: int) -> None:
    """Destroy an old key under which nothing rests any more. The mesh must be down."""
    rotation.drop(Layout(term.home), key_id)
    if term.as_json:
        term.emit({"dropped": key_id})
    term.tell(f"Key {key_id} is destroyed.")


def _show(term: Terminal, key_ids: list[int], found: list[Rows]) -> None:
    if term.as_json:
        term.emit({"keys": key_ids, "services": [vars(rows) for rows in found]})
        return
    for rows in found:
        for key_id, count in rows.under.items():
            term.tell(f"key {key_id}  {rows.service}  {count} values")
        if rows.unlisted:
            term.tell(f"{rows.service} also keeps {', '.join(rows.unlisted)}, not sealed anew")
    term.tell(f"Keys: {', '.join(map(str, key_ids))} (the last seals what is new)")
