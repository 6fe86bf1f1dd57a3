"""What is asked of a browser session on the command line: for one to keep, and for a run's own."""

from __future__ import annotations

from typing import IO, Any

import click
from google.protobuf import json_format

from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import settings_pb2
from podium.run.v1 import run_pb2

TEXTS = ("locale", "time_zone", "user_agent")


def options(named: str, text: str, asked: dict[str, Any]) -> pb.SessionOptions:
    """The options of a JSON text, with those of the command line over them.

    `named` is the option that the text came with.
    """
    found = pb.SessionOptions()
    try:
        json_format.Parse(text, found)
    except json_format.ParseError as why:
        raise click.UsageError(f"{named}: {why}") from None
    for name in TEXTS:
        if asked.get(name):
            setattr(found, name, asked[name])
    found.viewport_width = asked.get("width") or found.viewport_width
    found.viewport_height = asked.get("height") or found.viewport_height
    for name in ("allow", "deny"):
        if hosts := asked.get(name):
            getattr(found.egress, name).extend(hosts)
    if asked["profile"]:
        found.profile.browser_profile_id = asked["profile"]
    if asked["save_profile"]:
        found.profile.save = True
    return found


def of_run(asked: dict[str, Any]) -> run_pb2.SessionWish | None:
    """What a run is to ask of its session; None when nothing was said about it."""
    file: IO[str] | None = asked["session_options"]
    wish = run_pb2.SessionWish()
    found = options("--session-options", file.read() if file else "{}", asked)
    if found.ListFields():
        wish.options.CopyFrom(found)
    word = asked["reuse"]
    if word == "workflow":
        wish.reuse.mode = settings_pb2.REUSE_MODE_PER_WORKFLOW
    elif word.startswith("key:"):
        wish.reuse.mode = settings_pb2.REUSE_MODE_PER_KEY
        wish.reuse.key = word.removeprefix("key:")
    elif word not in ("", "new"):
        raise click.UsageError('--reuse: say "new", "workflow" or "key:…"')
    return wish if wish.ListFields() else None
