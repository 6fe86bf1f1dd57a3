"""sessions …: see a browser, drive it, take it over, and what can be asked of its page."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.artifacts import ARTIFACT_COLUMNS, save
from gateway.cli.commands import Command, terminal
from gateway.cli.terminal import Terminal
from libs.wire import as_dict, duration
from podium.browser_session.v1 import browser_session_pb2 as pb

PIECE_BYTES = 700_000
PAGE_TIMEOUT_S = 65.0
HERE = Path()
RIGHTS = {"drive": pb.RIGHT_DRIVE, "view": pb.RIGHT_VIEW}
control_option = click.option(
    "--control", default="", help="The control you hold (ctl_…); needed while a run has it."
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=HERE,
    show_default=True,
    help="File or folder to save it into.",
)


@click.command(cls=Command)
@click.argument("session")
@click.option("--right", type=click.Choice(list(RIGHTS)), default="drive", show_default=True)
@click.option("--ttl", type=float, help="How long, in seconds; an hour by default.")
@control_option
@terminal
def link(term: Terminal, session: str, right: str, ttl: float | None, control: str) -> None:
    """Print a CDP address for a driver of your own, such as Playwright's connect_over_cdp."""
    answer = _link(term, session, right, ttl, control)
    _say(term, answer, answer.cdp_url)


@click.command(cls=Command)
@click.argument("session")
@click.argument("link_id", default="")
@click.option("--all", "all_", is_flag=True, help="Every link of the session made so far.")
@terminal
def revoke(term: Terminal, session: str, link_id: str, all_: bool) -> None:
    """End a link (lnk_…) before its time; what is connected through it is disconnected."""
    if bool(link_id) == all_:
        raise click.UsageError("name the link (lnk_…), or say --all")
    edge = term.edge.browser_session
    if all_:
        term.edge.ask(edge.RevokeLinks, pb.RevokeLinksRequest(browser_session_id=session))
    else:
        request = pb.RevokeLinkRequest(browser_session_id=session, link_id=link_id)
        term.edge.ask(edge.RevokeLink, request)
    if term.as_json:
        term.emit({})
    term.tell("They are over." if all_ else "It is over.")


@click.command(cls=Command)
@click.argument("session")
@click.option("--ttl", type=float, help="How long, in seconds; an hour by default.")
@terminal
def view(term: Terminal, session: str, ttl: float | None) -> None:
    """Print the address of the page that shows a session live."""
    answer = _link(term, session, "view", ttl, "")
    _say(term, answer, answer.live_url)


def _link(
    term: Terminal, session: str, right: str, ttl: float | None, control: str
) -> pb.CreateLinkResponse:
    request = pb.CreateLinkRequest(
        browser_session_id=session,
        right=RIGHTS[right],
        control_id=control,
        ttl=duration(ttl) if ttl else None,
    )
    return term.edge.ask(term.edge.browser_session.CreateLink, request)


def _say(term: Terminal, answer: pb.CreateLinkResponse, url: str) -> None:
    if term.as_json:
        term.emit(as_dict(answer))
    term.tell(url)


@click.command(cls=Command)
@click.argument("session")
@click.option("--as", "holder", default="", help="Who you are, as others are told.")
@click.option("--ttl", type=float, help="How long without another word, in seconds.")
@terminal
def take(term: Terminal, session: str, holder: str, ttl: float | None) -> None:
    """Take the wheel: the agent waits, and you act in the page whose address is printed."""
    request = pb.TakeControlRequest(
        browser_session_id=session, holder=holder, ttl=duration(ttl) if ttl else None
    )
    answer = term.edge.ask(term.edge.browser_session.TakeControl, request)
    if term.as_json:
        term.emit(as_dict(answer))
    term.tell(f"{answer.control.control_id}\n{answer.live_url}")


@click.command("return", cls=Command)
@click.argument("session")
@terminal
def return_(term: Terminal, session: str) -> None:
    """Give the wheel back; the agent goes on."""
    request = pb.ReturnControlRequest(browser_session_id=session)
    term.edge.ask(term.edge.browser_session.ReturnControl, request)
    if term.as_json:
        term.emit({})
    term.tell("The agent goes on.")


@click.command(cls=Command)
@click.argument("session")
@terminal
def activity(term: Terminal, session: str) -> None:
    """What went through a session's door, and who holds its wheel."""
    request = pb.GetActivityRequest(browser_session_id=session)
    fields = (
        ("commands", "usage.commands"),
        ("refused", "usage.refused_commands"),
        ("bytes in", "usage.bytes_in"),
        ("bytes out", "usage.bytes_out"),
        ("control", "control.control_id"),
        ("held by", "control.holder"),
        ("until", "control.expire_time"),
    )
    term.show(term.edge.ask(term.edge.browser_session.GetActivity, request), fields)


@click.command("open", cls=Command)
@click.argument("session")
@click.argument("url")
@control_option
@terminal
def open_(term: Terminal, session: str, url: str, control: str) -> None:
    """Open an address in a session's page."""
    request = pb.OpenPageRequest(browser_session_id=session, url=url, control_id=control)
    method = term.edge.browser_session.OpenPage
    fields = (("address", "url"), ("title", "title"), ("status", "status"))
    term.show(term.edge.ask(method, request, timeout_s=PAGE_TIMEOUT_S), fields)


@click.command(cls=Command)
@click.argument("session")
@click.option("--html", is_flag=True, help="The document instead of the visible text.")
@terminal
def content(term: Terminal, session: str, html: bool) -> None:
    """Print what a session's page holds."""
    request = pb.GetContentRequest(browser_session_id=session)
    found = term.edge.ask(term.edge.browser_session.GetContent, request)
    if term.as_json:
        term.emit(as_dict(found))
    term.tell(found.html if html else found.text)


@click.command("eval", cls=Command)
@click.argument("session")
@click.argument("expression")
@control_option
@terminal
def eval_(term: Terminal, session: str, expression: str, control: str) -> None:
    """Print the value of a JavaScript expression in a session's page, as JSON."""
    request = pb.EvaluateRequest(
        browser_session_id=session, expression=expression, control_id=control
    )
    method = term.edge.browser_session.Evaluate
    term.emit(as_dict(term.edge.ask(method, request, timeout_s=PAGE_TIMEOUT_S)).get("value"))


@click.command(cls=Command)
@click.argument("session")
@click.option("--full-page", is_flag=True, help="All of the page, not only what is in view.")
@output_option
@terminal
def screenshot(term: Terminal, session: str, full_page: bool, output: Path) -> None:
    """Take a picture of a session's page."""
    request = pb.CaptureScreenshotRequest(browser_session_id=session, full_page=full_page)
    _save(term, [term.edge.ask(term.edge.browser_session.CaptureScreenshot, request)], output)


@click.command(cls=Command)
@click.argument("session")
@click.option("--paper", default="", help="a4, letter or legal.")
@click.option("--landscape", is_flag=True)
@click.option("--background", is_flag=True, help="With background colours and pictures.")
@output_option
@terminal
def pdf(
    term: Terminal, session: str, paper: str, landscape: bool, background: bool, output: Path
) -> None:
    """Print a session's page as PDF."""
    request = pb.PrintPdfRequest(
        browser_session_id=session, paper=paper, landscape=landscape, background=background
    )
    method = term.edge.browser_session.PrintPdf
    _save(term, [term.edge.ask(method, request, timeout_s=PAGE_TIMEOUT_S)], output)


def _save(term: Terminal, answers: list, output: Path) -> None:
    kept = [answer.artifact for answer in answers]
    files = [save(term, artifact, output) for artifact in kept]
    if term.as_json:
        listed = [
            as_dict(one) | {"saved_as": str(file)} for one, file in zip(kept, files, strict=True)
        ]
        term.emit({"artifacts": listed})
    for file in files:
        term.tell(f"{file}  {file.stat().st_size} bytes")


@click.command(cls=Command)
@click.argument("session")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["console", "har", "recording"]),
    multiple=True,
    help="What to record; all by default.",
)
@terminal
def record(term: Terminal, session: str, kinds: tuple[str, ...]) -> None:
    """Begin to record a session: console, network, pictures."""
    request = pb.StartRecordingRequest(browser_session_id=session, kinds=kinds)
    term.edge.ask(term.edge.browser_session.StartRecording, request)
    if term.as_json:
        term.emit({})
    term.tell(f"Recording; `podium sessions stop-recording {session}` ends it.")


@click.command("stop-recording", cls=Command)
@click.argument("session")
@terminal
def stop_recording(term: Terminal, session: str) -> None:
    """End the recording of a session and list what was kept."""
    request = pb.StopRecordingRequest(browser_session_id=session)
    kept = term.edge.ask(term.edge.browser_session.StopRecording, request).artifacts
    term.show_list("artifacts", kept, ARTIFACT_COLUMNS)


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@terminal
def upload(term: Terminal, file: Path) -> None:
    """Take a file in, for `upload` actions that name it by its artifact id."""
    method, left = term.edge.browser_session.UploadArtifact, file.stat().st_size
    artifact_id, offset = "", 0
    with file.open("rb") as source:
        while True:
            data = source.read(PIECE_BYTES)
            left -= len(data)
            request = pb.UploadArtifactRequest(
                artifact_id=artifact_id,
                name=file.name,
                offset=offset,
                data=data,
                more=left > 0,
            )
            answer = term.edge.ask(method, request)
            artifact_id, offset = answer.artifact_id, offset + len(data)
            if left <= 0:
                break
    if term.as_json:
        term.emit(as_dict(answer.artifact))
    term.tell(f"{answer.artifact.artifact_id}  {answer.artifact.name}")


@click.command(cls=Command)
@click.argument("artifact_id")
@click.option("--ttl", type=float, help="How long, in seconds; an hour by default.")
@terminal
def share(term: Terminal, artifact_id: str, ttl: float | None) -> None:
    """Print an address of an artifact that needs no API key and expires."""
    request = pb.CreateArtifactLinkRequest(
        artifact_id=artifact_id, ttl=duration(ttl) if ttl else None
    )
    answer = term.edge.ask(term.edge.browser_session.CreateArtifactLink, request)
    if term.as_json:
        term.emit(as_dict(answer))
    term.tell(answer.url)


@click.command(cls=Command)
@click.argument("artifact_id")
@terminal
def delete(term: Terminal, artifact_id: str) -> None:
    """Remove an artifact."""
    request = pb.DeleteArtifactRequest(artifact_id=artifact_id)
    term.edge.ask(term.edge.browser_session.DeleteArtifact, request)
    if term.as_json:
        term.emit({})
    term.tell("It is gone.")


COMMANDS = (
    link,
    revoke,
    view,
    take,
    return_,
    activity,
    open_,
    content,
    eval_,
    screenshot,
    pdf,
    record,
    stop_recording,
    upload,
    share,
    delete,
)
