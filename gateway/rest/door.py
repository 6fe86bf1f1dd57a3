"""The REST door: an ASGI application that turns a request into a call and back."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.trace import Span

from gateway import problem
from gateway.admission import Admission
from gateway.entry import asked_timeout_s, link_token
from gateway.problem import HttpRefusal
from gateway.rest.answers import Answer
from gateway.rest.binding import request_of
from gateway.rest.bodies import Receive, read_body
from gateway.rest.pages import Page, Pages
from gateway.rest.resume import resume
from gateway.rest.routes import Match, NoRoute, Routes
from gateway.rest.streaming import Streaming
from gateway.rest.tunnel import Tunnel
from gateway.rest.writing import as_json
from gateway.upstreams import Upstreams
from libs import telemetry
from libs.errors import PodiumError

log = logging.getLogger(__name__)


class RestDoor:
    """One instance serves every REST request of the process."""

    def __init__(
        self,
        routes: Routes,
        admission: Admission,
        upstreams: Upstreams,
        streaming: Streaming,
        pages: Pages,
        tunnel: Tunnel,
    ) -> None:
        self._routes = routes
        self._admission = admission
        self._upstreams = upstreams
        self._streaming = streaming
        self._pages = pages
        self._tunnel = tunnel

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await self._tunnel.serve(scope, receive, send)
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        entry = self._admission.begin(headers)
        answer = Answer(send, entry.request_id, is_head=scope["method"] == "HEAD")
        try:
            # Pages are not traced: Envoy asks every second whether this process is well.
            if page := self._pages.find(_path(scope)):
                await _show(page, scope["method"], answer)
                return
            with telemetry.continued(entry.traceparent, scope["method"]) as span:
                await self._serve(scope, headers, receive, answer, span)
        except ConnectionResetError:
            return  # Nobody is there to be told.
        except Exception as error:  # noqa: BLE001 - nothing may leave without an answer
            await self._tell(error, answer)

    async def _serve(
        self,
        scope: Any,
        headers: dict[str, str],
        receive: Receive,
        answer: Answer,
        span: Span,
    ) -> None:
        path = _path(scope)
        if self._is_signed(scope["method"], path):
            self._admission.admit_signed(link_token(scope["query_string"]))
        else:
            await self._admission.admit(headers)
        match = self._match(scope["method"], path)
        span.update_name(f"{scope['method']} {match.route.binding.template}")
        await self._call(match, scope, headers, receive, answer)

    def _is_signed(self, verb: str, path: str) -> bool:
        """Whether the request proves itself, so that it needs no key."""
        try:
            return self._routes.find(verb, path).route.method.rpc.signed
        except NoRoute:
            return False

    def _match(self, verb: str, path: str) -> Match:
        try:
            return self._routes.find(verb, path)
        except NoRoute as none:
            if none.allowed:
                raise _not_allowed(verb, none.allowed) from None
            raise HttpRefusal(404, "NO_SUCH_PATH", f"there is nothing at {path[:200]}") from None

    async def _call(
        self,
        match: Match,
        scope: Any,
        headers: dict[str, str],
        receive: Receive,
        answer: Answer,
    ) -> None:
        asked_s = asked_timeout_s(headers)
        body = await read_body(receive, headers)
        request = request_of(match, scope["query_string"].decode("ascii", "replace"), body)
        method = match.route.method
        if method.rpc.streaming:
            resume(request, headers)
            opening = self._upstreams.stream(method, request.SerializeToString(), asked_s)
            await self._streaming.serve(opening, match, headers, receive, answer)
            return
        received = await self._upstreams.ask(method, request.SerializeToString(), asked_s)
        told = as_json(method.response.FromString(received))
        await answer.whole(method.rpc.http_status, told, {"content-type": "application/json"})

    async def _tell(self, error: Exception, answer: Answer) -> None:
        found = problem.of(error, answer.request_id)
        if not isinstance(error, PodiumError | HttpRefusal):
            log.error("the edge failed (%s)", found.error_id, exc_info=error)
        await answer.failure(found)


def _headers(scope: Any) -> dict[str, str]:
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}


def _path(scope: Any) -> str:
    """The path as it was sent: a slash inside a value stays %2F until the template is matched."""
    return (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")


async def _show(page: Page, verb: str, answer: Answer) -> None:
    _require(verb, ("GET", "HEAD"))
    status, body = page.render()
    await answer.whole(status, body, page.headers)


def _require(verb: str, allowed: tuple[str, ...]) -> None:
    if verb not in allowed:
        raise _not_allowed(verb, allowed)


def _not_allowed(verb: str, allowed: tuple[str, ...]) -> HttpRefusal:
    joined = ", ".join(allowed)
    detail = f"this path does not know {verb[:20]}; it knows {joined}"
    return HttpRefusal(405, "METHOD_NOT_ALLOWED", detail, {"allow": joined})
