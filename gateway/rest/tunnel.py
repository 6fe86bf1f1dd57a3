"""WebSockets of links: from the edge to the replica that has the session's browser.

The link is the proof, so no API key is asked for. Where it leads is asked of browser_session; the
replica there opens the link once more and decides what may pass. Frames are carried as they are.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateway import problem
from gateway.admission import Admission
from gateway.catalog import internal_methods
from gateway.entry import link_token
from gateway.problem import HttpRefusal
from gateway.rest.bodies import Receive
from gateway.upstreams import Upstreams
from libs.rpc import https
from libs.rpc.certificates import Certificates
from podium.browser_session.v1 import browser_session_pb2 as pb

log = logging.getLogger(__name__)

PATH = re.compile(r"/v1/browser_sessions/([A-Za-z0-9_]+)/(cdp|live)", re.ASCII)
# A page cannot send a header: it says new WebSocket(url, [this, token]).
PROTOCOL = "podium.link"
LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024
MOST_AT_ONCE = 500
OWNER = "browser_session"
CLOSE_GOING_AWAY = 1001


class Tunnel:
    """Carries the WebSockets of one process."""

    def __init__(self, http: aiohttp.ClientSession, upstreams: Upstreams, entry: Admission) -> None:
        self._http = http
        self._upstreams = upstreams
        self._entry = entry
        self._open = 0
        (self._locate,) = (
            method for method in internal_methods() if method.rpc.name == "LocateSession"
        )

    async def serve(self, scope: Any, receive: Receive, send: Any) -> None:
        """Serve one socket from its handshake to its end."""
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        entry = self._entry.begin(headers)
        await receive()  # websocket.connect
        self._open += 1
        try:
            upstream = await self._reach(scope, headers)
        except Exception as error:  # noqa: BLE001 - whatever it is, the handshake is answered
            told = problem.of(error, entry.request_id)
            await _refuse(send, told)
            return
        else:
            async with upstream:
                offered = scope.get("subprotocols", ())
                subprotocol = PROTOCOL if PROTOCOL in offered else None
                await send({"type": "websocket.accept", "subprotocol": subprotocol})
                await _carry(upstream, receive, send)
        finally:
            self._open -= 1

    async def _reach(
        self, scope: Any, headers: Mapping[str, str]
    ) -> aiohttp.ClientWebSocketResponse:
        found = PATH.fullmatch(scope["path"])
        if found is None:
            raise HttpRefusal(404, "NO_SUCH_PATH", "no WebSocket is served here")
        if self._open > MOST_AT_ONCE:
            raise HttpRefusal(503, "TOO_MANY_SOCKETS", "too many WebSockets are open here")
        session_id, kind = found.groups()
        _check_origin(headers, kind)
        token = _token(scope)
        self._entry.admit_signed(token)
        request = pb.LocateSessionRequest(browser_session_id=session_id, token=token)
        answer = await self._upstreams.ask(self._locate, request.SerializeToString(), None)
        url = pb.LocateSessionResponse.FromString(answer).url
        return await self._connect(f"{url}/live" if kind == "live" else url, token)

    async def _connect(self, url: str, token: str) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._http.ws_connect(
                url,
                headers={"authorization": f"Bearer {token}"},
                max_msg_size=LARGEST_MESSAGE_BYTES,
                compress=0,
            )
        except aiohttp.WSServerHandshakeError as refused:
            raise HttpRefusal(
                refused.status, "LINK_REFUSED", "the session's browser did not let this link in"
            ) from None
        except (aiohttp.ClientError, OSError):
            raise HttpRefusal(
                503, "BROWSER_UNREACHABLE", "the session's browser cannot be reached now"
            ) from None


def _check_origin(headers: Mapping[str, str], kind: str) -> None:
    """Only a browser sends an origin: no page may drive, and only our own may look."""
    origin = headers.get("origin")
    if origin is None:
        return
    if kind != "live" or urlsplit(origin).netloc != headers.get("host", ""):
        raise HttpRefusal(403, "FOREIGN_PAGE", "pages of another origin may not use this link")


def _token(scope: Any) -> str:
    """The link's token: of the address, or behind our protocol's name."""
    offered = list(scope.get("subprotocols", ()))
    if len(offered) == 2 and offered[0] == PROTOCOL:
        return offered[1]
    return link_token(scope["query_string"])


async def _refuse(send: Any, told: problem.Problem) -> None:
    encoded = [(k.encode(), v.encode("latin-1")) for k, v in told.all_headers().items()]
    await send({"type": "websocket.http.response.start", "status": told.status, "headers": encoded})
    await send({"type": "websocket.http.response.body", "body": told.as_json()})


async def _carry(upstream: aiohttp.ClientWebSocketResponse, receive: Receive, send: Any) -> None:
    """Carries frames both ways until one side ends; the other then hears why."""
    outward = asyncio.create_task(_outward(upstream, send))
    inward = asyncio.create_task(_inward(upstream, receive))
    await asyncio.wait({outward, inward}, return_when=asyncio.FIRST_COMPLETED)
    is_ours = outward.done()
    for task in (outward, inward):
        task.cancel()
    await asyncio.gather(outward, inward, return_exceptions=True)
    if is_ours:
        code = upstream.close_code or CLOSE_GOING_AWAY
        # 1005 and 1006 only say that no code came; they may not be sent.
        usable = code if code not in (1005, 1006) else CLOSE_GOING_AWAY
        await send({"type": "websocket.close", "code": usable})


async def _outward(upstream: aiohttp.ClientWebSocketResponse, send: Any) -> None:
    async for frame in upstream:
        if frame.type is aiohttp.WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": frame.data})
        elif frame.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": frame.data})


async def _inward(upstream: aiohttp.ClientWebSocketResponse, receive: Receive) -> None:
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await upstream.send_str(event["text"])
        elif event.get("bytes") is not None:
            await upstream.send_bytes(event["bytes"])


@asynccontextmanager
async def tunnels(
    upstreams: Upstreams, entry: Admission, certificates: Certificates | None
) -> AsyncIterator[Tunnel]:
    """The tunnel of a gateway that serves inside the block."""
    async with https.session(certificates, OWNER) as http:
        yield Tunnel(http, upstreams, entry)
