"""totp: credentials, one-time codes, and the challenges that wait for them.

Secrets are never arguments: everybody on the machine can read a command line.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click

from deploy.demo.codes import Authenticator
from gateway.cli import sources
from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from gateway.cli.watching import history
from libs import errors
from podium.totp.v1 import totp_pb2 as pb

FIELDS = (
    ("credential", "credential_id"),
    ("name", "name"),
    ("user name", "username"),
    ("password", "has_password"),
    ("seed", "has_totp_seed"),
    ("codes arrive at", "totp_identifier"),
    ("folder", "folder"),
    ("version", "version"),
    ("created", "create_time"),
)
CHALLENGE_COLUMNS = (
    ("challenge", "challenge_id"),
    ("state", "state"),
    ("run", "run_id"),
    ("arrives at", "identifier"),
    ("expires", "expire_time"),
)
MESSAGE_COLUMNS = (
    ("message", "message_id"),
    ("state", "state"),
    ("arrived at", "identifier"),
    ("challenge", "challenge_id"),
    ("came", "receive_time"),
    ("text", "redacted_text"),
)
STATES = [x.removeprefix("CHALLENGE_STATE_").lower() for x in pb.ChallengeState.keys()[1:]]
MESSAGE_STATES = [x.removeprefix("MESSAGE_STATE_").lower() for x in pb.MessageState.keys()[1:]]
CLOSED_LATE = {
    pb.CHALLENGE_STATE_EXPIRED: "expired before the code was taken",
    pb.CHALLENGE_STATE_CANCELED: "was canceled before the code was taken",
}
SOURCES = [x.removeprefix("MESSAGE_SOURCE_").lower() for x in pb.MessageSource.keys()[1:]]
SECRETS = ("PASSWORD", "TOTP_SEED")


@click.group(cls=Group)
def totp() -> None:
    """Credentials and one-time codes."""


totp.add_command(sources.sources)


@totp.group()
def credentials() -> None:
    """User names, passwords and seeds, encrypted at rest."""


@credentials.command("list")
@click.option("--folder", default="", help="Only in this folder or below it.")
@limit_option
@terminal
def list_(term: Terminal, folder: str, limit: int) -> None:
    """Credentials by name, without their secrets."""
    request = pb.ListCredentialsRequest(folder=folder)
    found = term.edge.pages(term.edge.totp.ListCredentials, request, "credentials", limit)
    term.show_list("credentials", found, FIELDS)


@credentials.command()
@click.argument("name")
@click.option("--username", default="", help="User name on the site.")
@click.option("--identifier", default="", help="Where codes arrive when they are sent.")
@click.option("--folder", default="", help="Folder to file it in, such as shops/eu.")
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
    folder: str,
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
        folder=folder,
    )
    term.show(term.edge.ask(term.edge.totp.CreateCredential, request).credential, FIELDS)


@credentials.command()
@click.argument("credential")
@click.option("--name", help="New name.")
@click.option("--username", help="New user name on the site.")
@click.option("--identifier", help="New address or number where codes arrive.")
@click.option("--folder", help="New folder.")
@click.option("--new-password", is_flag=True, help="Ask for a new password.")
@click.option("--new-seed", is_flag=True, help="Ask for a new seed of one-time codes.")
@click.option(
    "--secrets-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help='File with new PASSWORD=… or TOTP_SEED=… lines; "-" for stdin.',
)
@terminal
def update(
    term: Terminal,
    credential: str,
    name: str | None,
    username: str | None,
    identifier: str | None,
    folder: str | None,
    new_password: bool,
    new_seed: bool,
    secrets_file: Path | None,
) -> None:
    """Change a credential or rotate its secrets; what is not given stays."""
    secrets = read_secrets(secrets_file) if secrets_file else {}
    if new_password:
        secrets["PASSWORD"] = _ask("New password", confirm=True)
    if new_seed:
        secrets["TOTP_SEED"] = _ask("New seed (Base32 or otpauth:// URI)")
    request = pb.UpdateCredentialRequest(
        credential_id=credential,
        name=name,
        username=username,
        totp_identifier=identifier,
        folder=folder,
        password=secrets.get("PASSWORD"),
        totp_seed=secrets.get("TOTP_SEED"),
    )
    term.show(term.edge.ask(term.edge.totp.UpdateCredential, request).credential, FIELDS)


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
@click.option("--run", "run_id", default="", help="Only of this run.")
@click.option("--wait", is_flag=True, help="Wait until a login of the run asks for a code.")
@limit_option
@terminal
def challenges(term: Terminal, state: str | None, run_id: str, wait: bool, limit: int) -> None:
    """Who waits for which code, newest first."""
    if wait:
        _await_challenge(term, run_id)
    name = f"CHALLENGE_STATE_{(state or 'unspecified').upper()}"
    request = pb.ListChallengesRequest(state=name, run_id=run_id)
    found = term.edge.pages(term.edge.totp.ListChallenges, request, "challenges", limit)
    term.show_list("challenges", found, CHALLENGE_COLUMNS)


@totp.command()
@click.argument("challenge")
@terminal
def watch(term: Terminal, challenge: str) -> None:
    """Follow a challenge until it has its code, expires or is canceled."""
    request = pb.WatchChallengeRequest(challenge_id=challenge)
    for answer in term.edge.stream(term.edge.totp.WatchChallenge, request):
        state = pb.ChallengeState.Name(answer.challenge.state).removeprefix("CHALLENGE_STATE_")
        if term.as_json:
            term.emit({"challenge_id": challenge, "state": state.lower()})
        term.tell(f"{challenge} is {state.lower()}")


@totp.command()
@click.argument("challenge")
@terminal
def cancel(term: Terminal, challenge: str) -> None:
    """Stop waiting for a code: the login that waits for it fails at once."""
    request = pb.CancelChallengeRequest(challenge_id=challenge)
    answer = term.edge.ask(term.edge.totp.CancelChallenge, request)
    term.show(answer.challenge, CHALLENGE_COLUMNS)


@totp.command()
@click.option("--state", type=click.Choice(MESSAGE_STATES), help="Only in this state.")
@limit_option
@terminal
def messages(term: Terminal, state: str | None, limit: int) -> None:
    """What came in the last minutes, newest first; never a code."""
    name = f"MESSAGE_STATE_{(state or 'unspecified').upper()}"
    request = pb.ListMessagesRequest(state=name)
    found = term.edge.pages(term.edge.totp.ListMessages, request, "messages", limit)
    term.show_list("messages", found, MESSAGE_COLUMNS)


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


@totp.command("type")
@click.argument("waits", required=False, default="", metavar="[RUN|CHALLENGE]")
@terminal
def type_(term: Terminal, waits: str) -> None:
    """Type the code that a login waits for, by prompt or from stdin, and see it taken.

    Without an argument it is for the only login that waits.
    """
    challenge = _waiting(term, waits)
    where = challenge.identifier or "the credential"
    typed = _ask(f"Code for {where}") if sys.stdin.isatty() else sys.stdin.read()
    request = pb.SubmitMessageRequest(
        challenge_id=challenge.challenge_id,
        content=typed.strip(),
        source=pb.MESSAGE_SOURCE_MANUAL,
    )
    if term.edge.ask(term.edge.totp.SubmitMessage, request).state == pb.MESSAGE_STATE_UNSURE:
        raise errors.Invalid("code", "no code could be told in what was typed")
    watched = pb.WatchChallengeRequest(challenge_id=challenge.challenge_id)
    for answer in term.edge.stream(term.edge.totp.WatchChallenge, watched):
        challenge = answer.challenge
    if late := CLOSED_LATE.get(challenge.state):
        raise errors.FailedPrecondition(f"the challenge {late}", reason="CODE_NOT_TAKEN")
    if term.as_json:
        term.show(challenge, CHALLENGE_COLUMNS)
    term.tell(f"The login has the code ({challenge.challenge_id}).")


def _await_challenge(term: Terminal, run_id: str) -> None:
    if not run_id:
        raise click.UsageError("--wait needs a --run to wait for")
    if not any(event.type == "totp.required" for event in history(term, run_id)):
        raise errors.FailedPrecondition(
            f"{run_id} has ended without asking for a code", reason="RUN_FINISHED"
        )


def _waiting(term: Terminal, waits: str) -> pb.Challenge:
    """The challenge that is meant: by its id, or as the only one that waits."""
    if waits.startswith("chal_"):
        return term.edge.ask(
            term.edge.totp.GetChallenge, pb.GetChallengeRequest(challenge_id=waits)
        ).challenge
    request = pb.ListChallengesRequest(state=pb.CHALLENGE_STATE_WAITING, run_id=waits)
    found = term.edge.pages(term.edge.totp.ListChallenges, request, "challenges", 200)
    if not found:
        whose = f" of {waits}" if waits else ""
        raise errors.FailedPrecondition(f"no login{whose} waits for a code", reason="NOBODY_WAITS")
    if len(found) > 1:
        names = ", ".join(one.challenge_id for one in found)
        raise click.UsageError(f"several logins wait; say which: {names}")
    return found[0]


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
        term.emit({"code": authenticator.code(now), "seconds_left": math.ceil(left * 10) / 10})
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
