"""sessions: browsers that the organisation keeps, and the files that came out of them."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli import views
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
    ("ready", "ready_time"),
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
@terminal
def create(term: Terminal, width: int, height: int, locale: str) -> None:
    """Start a browser to keep; use it with `podium run … --session bs_…`."""
    options = pb.SessionOptions(viewport_width=width, viewport_height=height, locale=locale)
    request = pb.CreateSessionRequest(request_id=ids.new("req"), options=options)
    method = term.edge.browser_session.CreateSession
    term.show(term.edge.ask(method, request, timeout_s=65).session, FIELDS)


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


for command in views.COMMANDS:
    sessions.add_command(command)
