"""admin: what an operator does on the machine of the mesh, past the edge and its API keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from deploy import local
from gateway.cli import config, keys, rebuild
from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from libs import errors

if TYPE_CHECKING:
    from libs.events.letters import DeadLetter

COLUMNS = ("id", "group", "event", "type", "run", "reason", "given up at")


@click.group(cls=Group)
def admin() -> None:
    """For operators, on the machine of the mesh."""


admin.add_command(keys.keys)
admin.add_command(config.config)
admin.add_command(rebuild.rebuild)


@admin.group("dead-letters")
def dead_letters() -> None:
    """Events that a service could not handle."""


@dead_letters.command("list")
@limit_option
@terminal
def list_(term: Terminal, limit: int) -> None:
    """Dead letters, oldest first."""
    found = asyncio.run(_listed(term, limit))
    if term.as_json:
        term.emit({"dead_letters": [_facts(letter) for letter in found]})
        return
    if not found:
        term.tell("No dead letters.")
        return
    for row in (COLUMNS, *(tuple(_facts(letter).values()) for letter in found)):
        term.tell("  ".join(str(cell) or "-" for cell in row))


@dead_letters.command()
@click.argument("letter_id", required=False)
@click.option("--all", "everything", is_flag=True, help="Replay all that can be read.")
@terminal
def replay(term: Terminal, letter_id: str | None, everything: bool) -> None:
    """Give an event once more to the service that gave it up, and to no other."""
    if bool(letter_id) == everything:
        raise click.UsageError("name one dead letter, or say --all")
    wanted = asyncio.run(_replayed(term, letter_id))
    if term.as_json:
        term.emit({"replayed": [_facts(letter) for letter in wanted]})
        return
    for letter in wanted:
        term.tell(f"{letter.letter_id} goes to {letter.group} once more.")
    if not wanted:
        term.tell("There was nothing to replay.")


async def _listed(term: Terminal, limit: int) -> list[DeadLetter]:
    from libs.events import letters

    async with _redis(term) as redis:
        return [letter async for letter in letters.listed(redis, limit)]


async def _replayed(term: Terminal, letter_id: str | None) -> list[DeadLetter]:
    from libs.events import letters

    async with _redis(term) as redis:
        if letter_id:
            return [await letters.replay(redis, letter_id)]
        # Listed first: one that fails again at once comes back under a new id.
        present = [letter async for letter in letters.listed(redis) if letter.event is not None]
        return [await letters.replay(redis, letter.letter_id) for letter in present]


@asynccontextmanager
async def _redis(term: Terminal) -> AsyncIterator[Any]:
    """Redis of the running mesh, else the one that PODIUM_REDIS_URL names."""
    # Imported here, like the letters, because `--help` need not wait for the bus.
    from redis.exceptions import RedisError

    from libs.events.redis import connect
    from libs.settings import environment

    running = local.status(term.home)
    url = running.redis_url if running else environment("PODIUM_REDIS_URL")
    if not url:
        raise errors.Unavailable("no mesh runs in this home and PODIUM_REDIS_URL is not set")
    redis = connect(url)
    try:
        yield redis
    except (RedisError, OSError) as error:
        raise errors.Unavailable(f"redis does not answer: {error}") from error
    finally:
        await redis.aclose()


def _facts(letter: DeadLetter) -> dict[str, Any]:
    event = letter.event
    return {
        "letter_id": letter.letter_id,
        "group": letter.group,
        "event_id": event.event_id if event else "",
        "type": event.type if event else "",
        "run_id": event.run_id if event else "",
        "reason": letter.reason,
        "buried_at": letter.buried_at.isoformat(timespec="seconds"),
    }
