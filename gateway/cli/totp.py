"""totp: credentials, one-time codes, and the challenges that wait for them.

Secrets are never arguments: everybody on the machine can read a command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.demo.codes import Authenticator
from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from podium.totp.v1 import totp_pb2 as pb

FIELDS = (
    ("credential", "credential_id"),
    ("name", "name"),
    ("user name", "username"),
    ("password", "has_password"),
    ("seed", "has_totp_seed"),
    ("codes arrive at", "totp_identifier"),
    ("created", "create_time"),
)
CHALLENGE_COLUMNS = (
    ("challenge", "challenge_id"),
    ("state", "state"),
    ("run", "run_id"),
    ("arrives at", "identifier"),
    ("expires", "expire_time"),
)
STATES = [x.removeprefix("CHALLENGE_STATE_").lower() for x in pb.ChallengeState.keys()[1:]]
SOURCES = [x.removeprefix("MESSAGE_SOURCE_").lower() for x in pb.MessageSource.keys()[1:]]
SECRETS = ("PASSWORD", "TOTP_SEED")


@click.group(cls=Group)
def totp() -> None:
    """Credentials and one-time codes."""


@totp.group()
def credentials() -> None:
    """User names, passwords and seeds, encrypted at rest."""


@credentials.command("list")
@limit_option
@terminal
def list_(term: Terminal, limit: int) -> None:
    """Credentials by name, without their secrets."""
    request = pb.ListCredentialsRequest()
    found = term.edge.pages(term.edge.totp.ListCredentials, request, "credentials", limit)
    term.show_list("credentials", found, FIELDS)


@credentials.command()
@click.argument("name")
@click.option("--username", default="", help="User name on the site.")
@click.option("--identifier", default="", help="Where codes arrive when they are sent.")
@click.option("--no-password", is_flag=True, help="Keep no password.")
@click.option("--with-seed", is_flag=True, help="Ask for the seed of one-time codes too.")
@click.option(
    "--secrets-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help='File with PASSWORD=… and TOTP_SEED=… lines; "-" for stdin.',
)
@terminal
def create(
    term: Terminal,
    name: str,
    username: str,
    identifier: str,
    no_password: bool,
    with_seed: bool,
    secrets_file: Path | None,
) -> None:
    """Keep a credential. Password and seed are asked for, or read from --secrets-file."""
    if secrets_file:
        secrets = read_secrets(secrets_file)
    else:
        secrets = {
            "PASSWORD": "" if no_password else _ask("Password", confirm=True),
            "TOTP_SEED": _ask("Seed (Base32 or otpauth:// URI)") if with_seed else "",
        }
    request = pb.CreateCredentialRequest(
        name=name,
        username=username,
        password=secrets.get("PASSWORD", ""),
        totp_seed=secrets.get("TOTP_SEED", ""),
        totp_identifier=identifier,
    )
    term.show(term.edge.ask(term.edge.totp.CreateCredential, request).credential, FIELDS)


@credentials.command()
@click.argument("credential")
@terminal
def delete(term: Terminal, credential: str) -> None:
    """Destroy a credential, by name or id, and its secrets."""
    request = pb.DeleteCredentialRequest(credential_id=credential)
    term.edge.ask(term.edge.totp.DeleteCredential, request)
    if term.as_json:
        term.emit({"deleted": credential})
    term.tell(f"{credential} is destroyed.")


@totp.command()
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@limit_option
@terminal
def challenges(term: Terminal, state: str | None, limit: int) -> None:
    """Who waits for which code, newest first."""
    name = f"CHALLENGE_STATE_{(state or 'unspecified').upper()}"
    request = pb.ListChallengesRequest(state=name)
    found = term.edge.pages(term.edge.totp.ListChallenges, request, "challenges", limit)
    term.show_list("challenges", found, CHALLENGE_COLUMNS)


@totp.command()
@click.option("--identifier", default="", help="Where it arrived: an e-mail address or number.")
@click.option("--challenge", default="", help="The challenge it is for (chal_…).")
@click.option("--run", "run_id", default="", help="Only for this run.")
@click.option("--source", type=click.Choice(SOURCES), default="manual", show_default=True)
@terminal
def submit(term: Terminal, identifier: str, challenge: str, run_id: str, source: str) -> None:
    """Hand in a code, or a message that holds one, from stdin or by prompt."""
    if not (identifier or challenge):
        raise click.UsageError("say who waits for it: --challenge chal_… or --identifier …")
    content = _ask("Code or message") if sys.stdin.isatty() else sys.stdin.read()
    request = pb.SubmitMessageRequest(
        identifier=identifier,
        challenge_id=challenge,
        run_id=run_id,
        content=content.strip(),
        source=f"MESSAGE_SOURCE_{source.upper()}",
    )
    answer = term.edge.ask(term.edge.totp.SubmitMessage, request)
    term.show(answer, (("message", "message_id"), ("state", "state")))


@totp.command()
@terminal
def code(term: Terminal) -> None:
    """For developers: the code of a seed now, as a phone shows it. The seed is asked for."""
    seed = _ask("Seed (Base32 or otpauth:// URI)") if sys.stdin.isatty() else sys.stdin.read()
    try:
        authenticator = Authenticator.read(seed)
    except ValueError as why:
        raise click.UsageError(str(why)) from None
    now = term.clock.now().timestamp()
    left = authenticator.period_s - now % authenticator.period_s
    if term.as_json:
        term.emit({"code": authenticator.code(now), "seconds_left": round(left, 1)})
    term.tell(f"{authenticator.code(now)}  (good for {left:.0f} s)")


def _ask(what: str, confirm: bool = False) -> str:
    return click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True)


def read_secrets(file: Path) -> dict[str, str]:
    """PASSWORD and TOTP_SEED from lines of NAME=value; a wrong line is named by its number."""
    found: dict[str, str] = {}
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            lines = opened.read().splitlines()
    except OSError as why:
        raise click.UsageError(f"cannot read {file}: {why.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or name.strip() not in SECRETS:
            raise click.UsageError(f"{file}, line {number}: write {' or '.join(SECRETS)}=value")
        found[name.strip()] = value.strip().strip("\"'")
    return found
