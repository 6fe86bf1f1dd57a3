"""The lists of the egress policy, and what is judged before a connection is made."""

from __future__ import annotations

import pytest

from libs import errors
from services.browser_session.egress import Egress, upstream
from services.browser_session.egress.dialing import Refused, Unreachable, Way, dial
from services.browser_session.egress.policy import checked


@pytest.mark.parametrize(
    ("pattern", "host", "port", "matches"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "www.example.com", 443, False),
        ("*.example.com", "www.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "badexample.com", 443, False),
        ("example.com:8443", "example.com", 443, False),
        ("example.com:8443", "example.com", 8443, True),
        ("*", "anything.test", 1, True),
        ("*:443", "anything.test", 80, False),
        ("203.0.113.0/24", "203.0.113.9", 443, True),
        ("203.0.113.0/24", "203.0.114.9", 443, False),
        ("203.0.113.0/24", "example.com", 443, False),
        ("2001:db8::1", "2001:db8::1", 443, True),
        ("[2001:db8::1]:80", "2001:db8::1", 443, False),
    ],
)
def test_what_an_entry_matches(pattern: str, host: str, port: int, matches: bool) -> None:
    [spelled], wrong = checked("egress.deny", [pattern])
    assert not wrong
    assert Egress(deny=(spelled,)).denies(host, port) is matches
    assert Egress(allow=(spelled,)).allows(host, port) is matches


def test_an_entry_that_is_none_is_named() -> None:
    bad = ["http://example.com", "exa mple.com", "a:99999", "", "*.", "a..b", "10.0.0.0/40"]
    _, wrong = checked("egress.allow", bad)
    assert [field for field, _ in wrong] == [f"egress.allow[{n}]" for n in range(len(bad))]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "0x7f.1",
        "2130706433",
        "0.0.0.0",
    ],
)
@pytest.mark.parametrize("behind", ["", "http://127.0.0.1:9"])
async def test_private_and_metadata_addresses_are_refused_in_every_spelling(
    host: str, behind: str
) -> None:
    way = Way(Egress(allow=("*",)), False, upstream.from_text(behind, "", ""))
    with pytest.raises(Refused) as refused:
        await dial(way, host, 80, set())
    assert refused.value.why == "private"


async def test_local_use_opens_private_ranges_but_never_metadata_nor_our_own_doors() -> None:
    way = Way(allow_private=True)
    with pytest.raises(Refused):
        await dial(way, "169.254.169.254", 80, set())
    with pytest.raises(Refused):
        await dial(way, "127.0.0.1", 9, {9})
    with pytest.raises(Unreachable):
        await dial(way, "127.0.0.1", 9, set())


@pytest.mark.parametrize(
    "server",
    [
        "ftp://a:1",
        "http://",
        "a:1",
        "http://u:p@a:1",
        "http://a:99999",
        "http://a:1/x",
        "http://a b",
    ],
)
def test_a_proxy_that_is_none_is_named(server: str) -> None:
    found, wrong = upstream.checked(server, "", "", "options.proxy")
    assert found is None
    assert [field for field, _ in wrong] == ["options.proxy.server"]
    with pytest.raises(errors.Invalid):
        upstream.from_text(server, "", "")


def test_a_proxy_never_shows_its_password() -> None:
    found, _ = upstream.checked("socks5://[::1]", "ann", "s3cret", "options.proxy")
    assert found is not None
    assert (found.host, found.port) == ("::1", 1080)
    assert "s3cret" not in repr(found)
