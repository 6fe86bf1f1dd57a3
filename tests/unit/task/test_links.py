"""Sign-in links: which host they lead to, which are accepted, what of them is a secret."""

import pytest

from services.task.acting import forms
from services.task.acting.links import accepts, host_of, secrets_of
from services.task.snapshot import Element


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Login.Acme.example:8443/in?t=1", "login.acme.example"),
        ("https://bücher.example/in", "xn--bcher-kva.example"),
        ("https://acme.example@evil.example/", ""),
        ("https://acme.example:x/", "acme.example"),
        ("javascript:alert(1)", ""),
        ("/in?t=1", ""),
    ],
)
def test_the_host_of_a_link(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("hosts", "host", "good"),
    [
        (["acme.example"], "acme.example", True),
        (["Acme.example"], "login.acme.example", True),
        (["acme.example"], "evil-acme.example", False),
        (["login.acme.example"], "acme.example", False),
        (["bücher.example"], "xn--bcher-kva.example", True),
        (["127.0.0.1"], "a.127.0.0.1", False),
        (["acme.example"], "", False),
        ([], "acme.example", False),
    ],
)
def test_hosts_that_are_accepted(hosts: list[str], host: str, good: bool) -> None:
    assert accepts(hosts, host) is good


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
