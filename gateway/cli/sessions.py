"""sessions: browsers that the organisation keeps, and the files that came out of them."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import click

from gateway.cli import views, wishes
from gateway.cli.acting import act
from gateway.cli.artifacts import ARTIFACT_COLUMNS, save
from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from libs import ids
from libs.wire import as_dict
from podium.browser_session.v1 import browser_session_pb2 as pb

FIELDS = (
    ("session", "browser_session_id"),
    ("state", "state"),
    ("because", "close_reason"),
    ("run", "run_id"),
    ("created", "create_time"),
    ("place in line", "queue_position"),
    ("ready", "ready_time"),
    ("lives until", "expire_time"),
    ("ended", "end_time"),
    ("warnings", "warnings"),
)
COLUMNS = (*FIELDS[:5], ("ended", "end_time"))


@click.group(cls=Group)
def sessions() -> None:
    """Keep browsers for several runs; fetch screenshots and downloads."""


@sessions.command("list")
@click.option("--all", "all_", is_flag=True, help="Ended ones too.")
@limit_option
@terminal
def list_(term: Terminal, all_: bool, limit: int) -> None:
    """Sessions, newest first."""
    alive = [
        pb.SESSION_STATE_QUEUED,
        pb.SESSION_STATE_PROVISIONING,
        pb.SESSION_STATE_READY,
        pb.SESSION_STATE_OCCUPIED,
    ]
    request = pb.ListSessionsRequest(states=[] if all_ else alive)
    method = term.edge.browser_session.ListSessions
    term.show_list("sessions", term.edge.pages(method, request, "sessions", limit), COLUMNS)


@sessions.command()
@click.argument("session")
@terminal
def get(term: Terminal, session: str) -> None:
    """One session."""
    request = pb.GetSessionRequest(browser_session_id=session)
    term.show(term.edge.ask(term.edge.browser_session.GetSession, request).session, FIELDS)


@sessions.command()
@click.option("--width", default=0, help="Width of the page; 1280 by default.")
@click.option("--height", default=0, help="Height of the page; 720 by default.")
@click.option("--locale", default="", help='Such as "en-GB".')
@click.option("--time-zone", default="", help='Such as "Europe/Zurich".')
@click.option("--user-agent", default="", help="What the browser says it is.")
@click.option("--allow", multiple=True, help="Host that may be reached; others may not. Repeat.")
@click.option("--deny", multiple=True, help="Host that may not be reached. Repeat.")
@click.option("--profile", default="", help="Profile to begin with (bp_…).")
@click.option("--save-profile", is_flag=True, help="Save a new version of it at the end.")
@click.option(
    "--options",
    "more",
    type=click.File(),
    help="More options as JSON, as the API takes them; - reads them from the standard input.",
)
@click.option("--no-wait", is_flag=True, help="Answer at once, with its place in the line.")
@terminal
def create(term: Terminal, more: IO[str] | None, no_wait: bool, **asked: Any) -> None:
    """Start a browser to keep; use it with `podium run … --session bs_…`."""
    options = wishes.options("--options", more.read() if more else "{}", asked)
    request = pb.CreateSessionRequest(
        request_id=ids.new("req"), options=options, return_at_once=no_wait
    )
    method = term.edge.browser_session.CreateSession
    term.show(term.edge.ask(method, request, timeout_s=65).session, FIELDS)


@sessions.command()
@click.argument("session")
@click.option("--minutes", default=0, help="Live at least this long from now.")
@terminal
def renew(term: Terminal, session: str, minutes: int) -> None:
    """Say that a session is still needed."""
    request = pb.RenewSessionRequest(browser_session_id=session)
    if minutes:
        request.life.FromSeconds(minutes * 60)
    term.show(term.edge.ask(term.edge.browser_session.RenewSession, request).session, FIELDS)


@sessions.command()
@click.argument("session")
@terminal
def close(term: Terminal, session: str) -> None:
    """End a session; its files stay."""
    request = pb.CloseSessionRequest(browser_session_id=session)
    term.show(term.edge.ask(term.edge.browser_session.CloseSession, request).session, FIELDS)


@sessions.command()
@click.option("--run", "run_id", default="", help="Only those of this run.")
@click.option("--session", default="", help="Only those of this session.")
@limit_option
@terminal
def artifacts(term: Terminal, run_id: str, session: str, limit: int) -> None:
    """Screenshots and downloads, newest first."""
    request = pb.ListArtifactsRequest(run_id=run_id, browser_session_id=session)
    method = term.edge.browser_session.ListArtifacts
    found = term.edge.pages(method, request, "artifacts", limit)
    term.show_list("artifacts", found, ARTIFACT_COLUMNS)


@sessions.command()
@click.argument("artifact_id")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="File or folder to save it into.",
)
@terminal
def artifact(term: Terminal, artifact_id: str, output: Path) -> None:
    """Download one screenshot or download."""
    request = pb.GetArtifactRequest(artifact_id=artifact_id)
    found = term.edge.ask(term.edge.browser_session.GetArtifact, request).artifact
    saved = save(term, found, output)
    if term.as_json:
        term.emit(as_dict(found) | {"saved_as": str(saved)})
    term.tell(f"{saved}  {found.size_bytes} bytes")


for command in (*views.COMMANDS, act):
    sessions.add_command(command)
