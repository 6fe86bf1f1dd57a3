"""totp sources: the mailboxes and URLs that codes are fetched from."""

from __future__ import annotations

import sys

import click

from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from podium.totp.v1 import totp_pb2 as pb

COLUMNS = (
    ("source", "source_id"),
    ("name", "name"),
    ("state", "state"),
    ("codes for", "identifier"),
    ("last code", "receive_time"),
    ("failure", "failure"),
)
FIELDS = (
    ("source", "source_id"),
    ("name", "name"),
    ("codes for", "identifier"),
    ("server", "mailbox.host"),
    ("user name", "mailbox.username"),
    ("folder", "mailbox.folder"),
    ("url", "pull.url"),
    ("state", "state"),
)
SECURITY = [x.removeprefix("MAIL_SECURITY_").lower() for x in pb.MailSecurity.keys()[1:]]


@click.group(cls=Group)
def sources() -> None:
    """Mailboxes and URLs that codes are fetched from."""


@sources.command("list")
@limit_option
@terminal
def list_(term: Terminal, limit: int) -> None:
    """Sources by name, and how they fare."""
    found = term.edge.pages(term.edge.totp.ListSources, pb.ListSourcesRequest(), "sources", limit)
    term.show_list("sources", found, COLUMNS)


@sources.command("add-mailbox")
@click.argument("name")
@click.option("--identifier", required=True, help="Address whose codes arrive in it.")
@click.option("--host", required=True, help="IMAP server.")
@click.option("--port", type=int, default=0, help="Port; by default 993, or 143 with starttls.")
@click.option("--security", type=click.Choice(SECURITY), default="tls", show_default=True)
@click.option("--username", default="", help="User name; by default the identifier.")
@click.option("--folder", default="", help="Folder to watch; by default INBOX.")
@terminal
def add_mailbox(
    term: Terminal,
    name: str,
    identifier: str,
    host: str,
    port: int,
    security: str,
    username: str,
    folder: str,
) -> None:
    """Watch an IMAP mailbox. Its password is asked for, or read from stdin."""
    mailbox = pb.Mailbox(
        host=host,
        port=port,
        security=f"MAIL_SECURITY_{security.upper()}",
        username=username or identifier,
        password=_password(),
        folder=folder,
    )
    request = pb.CreateSourceRequest(name=name, identifier=identifier, mailbox=mailbox)
    term.show(term.edge.ask(term.edge.totp.CreateSource, request).source, FIELDS)


@sources.command("add-url")
@click.argument("name")
@click.argument("url")
@click.option("--identifier", required=True, help="Address or number whose codes it knows.")
@terminal
def add_url(term: Terminal, name: str, url: str, identifier: str) -> None:
    """Ask a URL while a challenge waits. The secret that signs the requests is shown once."""
    request = pb.CreateSourceRequest(name=name, identifier=identifier, pull=pb.PullUrl(url=url))
    answer = term.edge.ask(term.edge.totp.CreateSource, request)
    if term.as_json:
        term.show(answer, ())
        return
    term.show(answer.source, FIELDS)
    term.tell(f"Requests are signed with {answer.signing_secret}; it is not shown again.")


@sources.command()
@click.argument("source")
@terminal
def delete(term: Terminal, source: str) -> None:
    """Stop fetching from a source, by name or id, and destroy its secret."""
    term.edge.ask(term.edge.totp.DeleteSource, pb.DeleteSourceRequest(source_id=source))
    if term.as_json:
        term.emit({"deleted": source})
    term.tell(f"{source} is destroyed.")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.read().rstrip("\r\n")
    return click.prompt("Password", hide_input=True, err=True)
