"""Where links lead: one rule for totp, which hands them out, and task, which opens them."""

import pytest

from libs.hosts import accepts, host_of


def test_the_host_is_where_the_link_leads() -> None:
    assert host_of("https://ACME.example.:8443/x") == "acme.example"
    assert host_of("https://bücher.example/x") == "xn--bcher-kva.example"
    assert host_of("http://127.0.0.1:8000/x") == "127.0.0.1"
    for trick in (
        "https://acme.example@evil.example/",
        "https://acme.example\\@evil.example/",
        "https:/acme.example",
        "https://[::1/x",
        "https://acme.example:99999/",
        "ftp://acme.example/",
    ):
        assert host_of(trick) == ""


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Login.Acme.example:8443/in?t=1", "login.acme.example"),
        ("https://bücher.example/in", "xn--bcher-kva.example"),
        ("https://acme.example@evil.example/", ""),
        ("https://acme.example:x/", ""),
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
