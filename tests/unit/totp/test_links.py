"""Sign-in links: which one it is, and whose host it must be."""

import pytest

from libs import errors
from libs.hosts import accepts
from services.totp.links import checked_hosts, sign_in_link

TOKEN = "eyJhbGciOiJIUzI1NiJ9.rn4mQ7kz"
URL = f"https://acme.example/auth/magic?token={TOKEN}"
HEAD = "From: a@acme.example\nTo: jo@x.test\nSubject: Sign in\nContent-Type: {}; charset=utf-8\n\n"


@pytest.mark.parametrize(
    "content",
    [
        f"Click to sign in to Acme: {URL}\nIf you did not ask for it, ignore this message.",
        f"Hier klicken, um sich anzumelden: <{URL}>. Der Link ist 10 Minuten gültig.",
        f"点击链接登录：{URL}",
        f"Подтвердите вход: {URL}.",
        f'<p>Hi Jo</p><a href="{URL}">Sign in</a><a href="https://acme.example/unsubscribe">No</a>',
        f'<a href="https://acme.example/"><img alt="Acme" src="x.png"></a><a href="{URL}"><b>Log'
        ' in</b></a> <a href="https://acme.example/help">Help</a>',
        HEAD.format("text/html") + f'<a href="{URL}">Confirm your e-mail</a>',
        HEAD.format("text/plain") + f"Use this link to log in:\n\n{URL}\n\nhttps://acme.example",
        f"Sign in: {URL} Not you? https://acme.example/auth/report?token=aaaabbbbccccdddd1",
    ],
)
def test_the_link_that_signs_in(content: str) -> None:
    link = sign_in_link(content)
    assert link is not None
    assert (link.url, link.host) == (URL, "acme.example")
    assert TOKEN not in repr(link)


def test_entities_are_decoded_and_nothing_else_changes() -> None:
    url = "https://acme.example/verify?u=jo&t=rnmrnm1234567890rnm&x=%2Fa#f=1"
    found = sign_in_link(f'<a href="{url.replace("&", "&amp;")}">Verify</a>')
    assert found is not None
    assert found.url == url


@pytest.mark.parametrize(
    "content",
    [
        "",
        "Your code is 482913.",
        "Read our news: https://acme.example/blog/2026/11/22/how-we-cut-costs-by-20",
        '<a href="https://acme.example/unsubscribe?token=abcdef0123456789abc">Unsubscribe</a>',
        '<a href="https://facebook.example/login">Facebook</a>',
        "Reset it or deny it: https://acme.example/deny?token=abcdef0123456789abc",
        f"Sign in: {URL} or sign in here: {URL}2",
        "Sign in: javascript:alert(1)",
        '<a href="ftp://acme.example/login?token=abcdef0123456789abc">Sign in</a>',
    ],
)
def test_no_link_is_made_up(content: str) -> None:
    assert sign_in_link(content) is None


def test_an_allow_list_covers_what_is_below_a_host() -> None:
    hosts = checked_hosts("link_hosts", ["Acme.Example", "bücher.example", "127.0.0.1"])
    assert accepts(hosts, "login.acme.example")
    assert accepts(hosts, "xn--bcher-kva.example")
    assert accepts(hosts, "127.0.0.1")
    for other in ("evilacme.example", "acme.example.evil.example", "example", "2.127.0.0.1"):
        assert not accepts(hosts, other)


@pytest.mark.parametrize("host", ["", "com", "https://acme.example", "acme.example/x", "*.x.y"])
def test_an_allow_list_names_whole_hosts(host: str) -> None:
    with pytest.raises(errors.Invalid, match=r"link_hosts\[0\]"):
        checked_hosts("link_hosts", [host])
