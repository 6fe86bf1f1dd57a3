"""What outgoing requests may reach: every spelling of an address, names that rebind, redirects."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from libs import egress, errors


@dataclass(frozen=True)
class Rules:
    allow_private_targets: bool = False


PUBLIC, LOCAL = Rules(), Rules(allow_private_targets=True)

LOOPBACK_HOSTS = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "0x7f000001", "0x7f.0.0.1", "0x7F.1",
    "2130706433", "0177.0.0.1", "017700000001", "0", "0.0.0.0", "127.0.0.1.", "localhost",
    "LOCALHOST", "localhost.", "api.localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[::ffff:0:127.0.0.1]", "１２７.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1",
]  # fmt: skip
PRIVATE_HOSTS = [
    "10.0.0.1", "10.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.257",
    "100.64.0.1", "100.127.255.254", "[fc00::1]", "[fd12:3456::1]", "[::ffff:10.0.0.1]",
]  # fmt: skip
NEVER_HOSTS = [
    "169.254.169.254", "0xa9fea9fe", "2852039166", "169.254.170.2", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]", "[fe80::1]",
    "[fe80::a9fe:a9fe]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]", "[::169.254.169.254]", "169.254.0.1", "224.0.0.1", "239.255.255.250",
    "255.255.255.255", "240.0.0.1", "192.88.99.1", "192.0.2.1", "198.18.0.1", "[ff02::1]",
    "[fec0::1]", "[2001:db8::1]", "[2001::1]", "[5f00::1]", "[100::1]",
]  # fmt: skip
PUBLIC_HOSTS = ["93.184.216.34", "8.8.8.8", "[2606:4700::1111]", "example.com", "münchen.example"]


@pytest.mark.parametrize("host", LOOPBACK_HOSTS + PRIVATE_HOSTS + NEVER_HOSTS)
def test_a_private_target_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        egress.check_url(f"https://{host}/hook", PUBLIC, "endpoint.url")
    assert refusal.value.violations[0][0] == "endpoint.url"


@pytest.mark.parametrize("host", NEVER_HOSTS)
def test_metadata_and_special_ranges_are_refused_even_for_local_use(host: str) -> None:
    with pytest.raises(errors.Invalid):
        egress.check_url(f"http://{host}/latest/meta-data", LOCAL)


@pytest.mark.parametrize("host", ["127.0.0.1:9999", "localhost:1234", "10.0.0.1", "[::1]:81"])
def test_local_use_reaches_private_targets_on_any_port(host: str) -> None:
    assert egress.check_url(f"http://{host}/", LOCAL) == f"http://{host}/"


@pytest.mark.parametrize("host", PUBLIC_HOSTS)
def test_public_targets_are_allowed(host: str) -> None:
    egress.check_url(f"https://{host}/hook?a=b#c", PUBLIC)
    egress.check_url(f"http://{host}:8080/hook", PUBLIC)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "http(s) URL"),
        ("example.com/hook", "http(s) URL"),
        ("ftp://example.com/", "http(s) URL"),
        ("file:///etc/passwd", "http(s) URL"),
        ("javascript:alert(1)", "http(s) URL"),
        ("https://", "http(s) URL"),
        ("https:///path", "http(s) URL"),
        ("https://[::1", "http(s) URL"),
        ("https://example.com:99999/", "http(s) URL"),
        ("https://user:pw@example.com/", "credentials"),
        ("https://user@example.com/", "credentials"),
        ("https://:pw@example.com/", "credentials"),
        ("https://example.com:22/", "ports"),
        ("https://example.com:0/", "ports"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com\\@127.0.0.1/", "backslashes"),
        ("https://example.com/\r\nx: y", "control"),
        ("https://example.com/" + "a" * 2048, "at most"),
    ],
)
def test_a_url_that_may_not_be_called_says_why(url: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        egress.check_url(url, PUBLIC)
    assert why in refusal.value.violations[0][1]


@dataclass
class Names(AbstractResolver):
    """A resolver that gives each answer once, the last one for ever: DNS that rebinds."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        return None


@asynccontextmanager
async def site(respond: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") -> AsyncIterator:
    """A tiny server that counts connections and answers each with the same bytes."""
    accepted: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer.get_extra_info("peername")[0])
        try:
            while await reader.read(65536):
                writer.write(respond)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], accepted
    finally:
        server.close()


async def refused(client: aiohttp.ClientSession, url: str) -> str:
    with pytest.raises((aiohttp.ClientError, OSError, ValueError)) as failure:
        await egress.exchange(client, "POST", url, body=b"{}", limit=10)
    return egress.classify(failure.value)


@pytest.mark.parametrize("host", LOOPBACK_HOSTS + PRIVATE_HOSTS + NEVER_HOSTS)
async def test_no_spelling_reaches_a_socket(host: str) -> None:
    async with site() as (port, accepted), egress.session(PUBLIC) as client:
        word = await refused(client, f"http://{host}:{port}/")
        assert word in ("blocked_target", "dns", "connect")
        assert accepted == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001"])
async def test_a_refusal_is_classified_as_blocked(host: str) -> None:
    async with egress.session(PUBLIC) as client:
        assert await refused(client, f"http://{host}:8080/") == "blocked_target"


async def test_a_name_that_resolves_to_a_private_address_is_blocked() -> None:
    names = Names([["127.0.0.1"]])
    async with site() as (port, accepted), egress.session(PUBLIC, resolver=names) as client:
        assert await refused(client, f"http://innocent.example:{port}/") == "blocked_target"
        assert accepted == []
        assert names.asked == ["innocent.example"]


async def test_a_name_with_several_private_addresses_is_blocked() -> None:
    names = Names([["::1", "127.0.0.1", "::ffff:10.0.0.1", "169.254.169.254"]])
    async with egress.session(PUBLIC, resolver=names) as client:
        assert await refused(client, "http://innocent.example/") == "blocked_target"


async def test_a_name_that_rebinds_between_check_and_connection_is_blocked() -> None:
    names = Names([["93.184.216.34"], ["169.254.169.254"]])
    await names.resolve("rebinds.example")
    egress.check_url("http://rebinds.example/", LOCAL)
    async with egress.session(LOCAL, resolver=names) as client:
        assert await refused(client, "http://rebinds.example/") == "blocked_target"


async def test_a_redirect_is_handed_back_and_never_followed() -> None:
    async with site() as (inner, accepted):
        moved = f"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{inner}/\r\ncontent-length: 0"
        async with site(f"{moved}\r\n\r\n".encode()) as (port, _), egress.session(LOCAL) as client:
            url = f"http://127.0.0.1:{port}/"
            assert (await egress.exchange(client, "POST", url, limit=10)).status == 302
            with pytest.raises(egress.BlockedTarget):
                await client.get(url)
        assert accepted == []


async def test_an_answer_is_kept_to_its_limit_and_not_decompressed() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10000000\r\n\r\n"
    async with site(head + b"x" * 100_000) as (port, _), egress.session(LOCAL) as client:
        answer = await egress.exchange(client, "GET", f"http://127.0.0.1:{port}/", limit=4096)
        assert (answer.status, answer.body, answer.truncated) == (200, b"x" * 4096, True)


async def test_the_total_timeout_covers_the_body() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nslow"
    async with (
        site(head) as (port, _),
        egress.session(LOCAL, total_timeout_s=0.2) as client,
    ):
        assert await timed_out(client, f"http://127.0.0.1:{port}/") == "timeout"


async def timed_out(client: aiohttp.ClientSession, url: str) -> str:
    with pytest.raises(asyncio.TimeoutError) as failure:
        await egress.exchange(client, "GET", url, limit=10_000)
    return egress.classify(failure.value)


async def test_failures_have_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    async with egress.session(LOCAL) as client, site(b"not tls, not http\r\n\r\n") as (port, _):
        assert await refused(client, f"http://127.0.0.1:{closed}/") == "connect"
        assert await refused(client, f"https://127.0.0.1:{port}/") == "tls"
        assert await refused(client, f"http://127.0.0.1:{port}/") == "connect"
        assert await refused(client, "http://no-such-host.invalid/") == "dns"


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with site() as (port, accepted), egress.session(LOCAL) as client:
        await egress.exchange(client, "GET", f"http://127.0.0.1:{port}/", limit=10)
        assert len(accepted) == 1
