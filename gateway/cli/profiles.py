"""profiles: what browsers are to know of a user, kept in versions."""

from __future__ import annotations

from typing import IO

import click

from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from libs import ids
from podium.browser_session.v1 import profile_pb2 as pb

FIELDS = (
    ("profile", "browser_profile_id"),
    ("name", "name"),
    ("version", "version"),
    ("created", "create_time"),
    ("saved", "update_time"),
)


@click.group(cls=Group)
def profiles() -> None:
    """Keep cookies and local storage for sessions to come."""


@profiles.command("list")
@limit_option
@terminal
def list_(term: Terminal, limit: int) -> None:
    """Profiles, newest first."""
    method, request = term.edge.browser_session.ListProfiles, pb.ListProfilesRequest()
    term.show_list("profiles", term.edge.pages(method, request, "profiles", limit), FIELDS)


@profiles.command()
@click.argument("profile")
@terminal
def get(term: Terminal, profile: str) -> None:
    """One profile; --json shows its versions."""
    request = pb.GetProfileRequest(browser_profile_id=profile)
    term.show(term.edge.ask(term.edge.browser_session.GetProfile, request).profile, FIELDS)


@profiles.command()
@click.argument("name")
@click.option(
    "--state",
    type=click.File(),
    help="A storage_state of Playwright to begin with; - reads the standard input.",
)
@terminal
def create(term: Terminal, name: str, state: IO[str] | None) -> None:
    """Make a profile."""
    request = pb.CreateProfileRequest(
        request_id=ids.new("req"), name=name, storage_state=state.read() if state else ""
    )
    term.show(term.edge.ask(term.edge.browser_session.CreateProfile, request).profile, FIELDS)


@profiles.command()
@click.argument("profile")
@click.argument("session")
@click.option("--expect", default=0, help="Only if this is the newest version.")
@terminal
def save(term: Terminal, profile: str, session: str, expect: int) -> None:
    """Save what a session's browser knows as a new version."""
    request = pb.SaveProfileRequest(
        browser_profile_id=profile, browser_session_id=session, expected_version=expect
    )
    term.show(term.edge.ask(term.edge.browser_session.SaveProfile, request).profile, FIELDS)


@profiles.command()
@click.argument("profile")
@terminal
def delete(term: Terminal, profile: str) -> None:
    """Forget a profile and all its versions."""
    request = pb.DeleteProfileRequest(browser_profile_id=profile)
    term.edge.ask(term.edge.browser_session.DeleteProfile, request)
    term.tell(f"{profile} is forgotten")
