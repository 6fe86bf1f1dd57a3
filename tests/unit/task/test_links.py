"""Sign-in links: what of them is a secret, and when a page says that one was sent."""

import pytest

from services.task.acting import forms
from services.task.acting.links import secrets_of
from services.task.snapshot import Element


def test_what_signs_in_is_a_secret() -> None:
    url = "https://acme.example/magic/k3yk3yk3/in?next=/orders&day=2026-11-23#abcdefghijklmnop"
    assert secrets_of(url) == [url, "k3yk3yk3", "abcdefghijklmnop"]


def said(text: str, role: str = "text") -> list[Element]:
    return [Element(ref="e1", role=role, name="", text=text)]


@pytest.mark.parametrize(
    "text",
    [
        "Check your e-mail",
        "We've sent you a link to sign in",
        "A sign-in link has been sent to dana@x.example",
        "Click the magic link in the message to go on",
        "We just emailed a link to you.",
    ],
)
def test_a_page_that_waits_for_a_link(text: str) -> None:
    assert forms.read(said(text, "heading")).awaits_link


@pytest.mark.parametrize(
    "text",
    ["We will e-mail you a link", "Send me a link", "Your link to the report", "Inbox (3)"],
)
def test_a_page_that_does_not(text: str) -> None:
    assert not forms.read(said(text)).awaits_link


def test_a_link_that_is_used_up() -> None:
    assert forms.link_refusals(said("This link is no longer valid."))
    assert forms.link_refusals(said("The link was used before."))
    assert not forms.link_refusals(said("3 payments failed"))


def test_only_a_page_without_fields_asks_to_confirm() -> None:
    button = Element(ref="e1", role="button", name="Sign in to Acme", tag="button")
    assert forms.confirmation([button]) is button
    assert forms.confirmation([Element(ref="e1", role="button", name="Delete")]) is None
    field = Element(ref="e2", role="textbox", name="Search", tag="input", type="text")
    assert forms.confirmation([button, field]) is None
