"""A certificate that is replaced while the process runs: what goes on, and what is not taken up."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from deploy.certs import files
from deploy.certs.issuer import Issuer
from libs.clock import ManualClock
from libs.rpc import client, spiffe
from libs.rpc.certificates import LOOK_EVERY_S, Certificates
from tests.support.eventually import eventually


@pytest.fixture
def issuer(tmp_path):
    made = Issuer.of(tmp_path)
    made.issue_due()
    return made


class Talker(grpc.GenericRpcHandler):
    """Answers at once, and streams for as long as it is told to."""

    def __init__(self):
        self.go_on = asyncio.Event()
        self.peers: list[bytes] = []

    def service(self, details):
        if details.method == "/a.Talker/Answer":
            return grpc.unary_unary_rpc_method_handler(self._answer)
        return grpc.unary_stream_rpc_method_handler(self._stream)

    async def _answer(self, _request: bytes, grpc_context) -> bytes:
        self.peers.append(grpc_context.auth_context()["x509_pem_cert"][0])
        return b"answer"

    async def _stream(self, _request: bytes, _context) -> AsyncIterator[bytes]:
        yield b"first"
        await self.go_on.wait()
        yield b"last"


@pytest.fixture
async def talker(issuer):
    """A server in Envoy's place, and its address."""
    server, found = grpc.aio.server(), Talker()
    server.add_generic_rpc_handlers((found,))
    credentials = Certificates(issuer.folders[spiffe.ENVOY]).server_credentials()
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield found, f"127.0.0.1:{port}"
    await server.stop(0)


async def test_a_stream_ends_where_it_began_and_new_calls_show_the_new_certificate(issuer, talker):
    served, address = talker
    clock = ManualClock()
    async with client.channel(address, Certificates(issuer.folders["run"], "", clock)) as channel:
        answer = channel.unary_unary("/a.Talker/Answer")
        stream = channel.unary_stream("/a.Talker/Stream")(b"")
        pieces = aiter(stream)
        assert await anext(pieces) == b"first"
        await answer(b"")
        issuer.issue_all()
        await answer(b"")
        assert len(set(served.peers)) == 1, "it looks once a second"
        clock.advance(LOOK_EVERY_S)
        await answer(b"")
        assert len(set(served.peers)) == 2
        served.go_on.set()
        assert await anext(pieces) == b"last"
        assert [piece async for piece in pieces] == []
        await eventually(stream.done, within=5)


async def test_a_key_that_is_not_the_certificates_is_not_taken_up(issuer, caplog):
    folder, clock = issuer.folders["run"], ManualClock()
    held = Certificates(folder, "", clock)
    good = held.current()
    files.publish(folder, files.read(folder) | {"tls.key": files.read(issuer.authority)["tls.key"]})
    clock.advance(LOOK_EVERY_S)
    assert held.current() is good
    assert "the key is not that of the certificate" in caplog.text
    issuer.issue_all()
    clock.advance(LOOK_EVERY_S)
    assert held.current().certificate == files.read(folder)["tls.crt"]


def test_a_folder_without_a_certificate_is_said_at_the_start(tmp_path):
    with pytest.raises(OSError, match=r"tls\.crt"):
        Certificates(tmp_path)
