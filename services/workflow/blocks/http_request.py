"""http_request: one HTTP request to an address the workflow names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

import aiohttp
import orjson
from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from libs import egress

from .contract import (
    OR_TEMPLATE,
    Block,
    BlockContext,
    BlockFailed,
    Outcome,
    Params,
    Text,
    Url,
)

MAX_ANSWER_BYTES = 1024 * 1024
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
# Headers that decide how the message is framed or where it goes are not the author's to set.
_RESERVED = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
_PRIVATE_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"}
)
_WHY = {
    "blocked_target": "the address is not allowed",
    "timeout": "it did not answer in time",
    "dns": "its name does not resolve",
    "tls": "no trusted TLS connection could be made",
    "connect": "the connection failed",
}


def _free_header(name: str) -> str:
    lower = name.lower()
    if lower in _RESERVED:
        raise ValueError(f"the header {name!r} cannot be set")
    if not name or any(not ("!" <= char <= "~") or char in ":()" for char in name):
        raise ValueError(f"{name[:80]!r} is not a header name")
    return name


def _one_line(value: str) -> str:
    if any(char in "\r\n\0" for char in value):
        raise ValueError("must be one line")
    return value


HeaderName = Annotated[str, Field(max_length=200), AfterValidator(_free_header)]
HeaderValue = Annotated[Text, AfterValidator(_one_line)]
Status = Annotated[int, Field(ge=100, le=599)]


class HttpRequestParams(Params):
    """Parameters of http_request."""

    url: Url
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    headers: dict[HeaderName, HeaderValue] = Field(default={}, max_length=50)
    query: dict[str, Text] = Field(default={}, max_length=100)
    json_body: Any = Field(default=None, alias="json")
    body: Annotated[str, Field(max_length=500_000), OR_TEMPLATE] | None = None
    expect_status: Annotated[list[Status], Field(min_length=1)] | None = None
    redirects: Literal["none", "same_origin", "any"] = "same_origin"

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.json_body is not None:
            raise ValueError("needs at most one of json and body")
        return self


class HttpRequest(Block):
    """Sends one HTTP request and gives its answer."""

    kind = "http_request"
    summary = "Sends an HTTP request; the answer's status, headers and body are its output."
    Params = HttpRequestParams
    default_timeout_s = 30.0

    async def run(self, params: HttpRequestParams, context: BlockContext) -> Outcome:
        """Send it, follow redirects as far as allowed, check the status."""
        url = _with_query(params)
        answer = await _send(params, url, context)
        shown = _shown(url)
        expected = params.expect_status
        if answer.status not in expected if expected else not 200 <= answer.status < 300:
            raise _unexpected(answer, params, shown)
        if answer.truncated:
            raise BlockFailed(
                "RESPONSE_TOO_LARGE",
                f"{shown} answered more than {MAX_ANSWER_BYTES} bytes",
                retryable=False,
            )
        output = {
            "status": answer.status,
            "headers": {
                name.lower(): value
                for name, value in answer.headers.items()
                if name.lower() not in _PRIVATE_HEADERS
            },
            **_body(answer),
        }
        return Outcome(output, f"{params.method} {shown} → {answer.status}")


async def _send(params: HttpRequestParams, url: URL, context: BlockContext) -> egress.Answer:
    method, body, headers = params.method, _payload(params), _headers(params, context.step_key)
    for _ in range(MAX_REDIRECTS + 1):
        answer = await _exchange(context.http, method, url, headers, body)
        if answer.status not in _REDIRECTS or "Location" not in answer.headers:
            return answer
        if answer.status in (params.expect_status or ()):
            return answer
        following = _target(url, answer.headers["Location"])
        elsewhere = following.origin() != url.origin()
        if params.redirects == "none" or (elsewhere and params.redirects != "any"):
            raise BlockFailed(
                "REDIRECT_REFUSED",
                f"{_shown(url)} redirects to {_shown(following)}; redirects: "
                f"{params.redirects} does not allow that",
                category="configuration",
            )
        if elsewhere:
            # What was meant for one site is not handed to another.
            headers = {k: v for k, v in headers.items() if k.lower() not in _PRIVATE_HEADERS}
        if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
            method, body = "GET", None
        url = following
    raise BlockFailed(
        "TOO_MANY_REDIRECTS", f"{_shown(url)} redirects more than {MAX_REDIRECTS} times"
    )


async def _exchange(
    client: aiohttp.ClientSession,
    method: str,
    url: URL,
    headers: Mapping[str, str],
    body: bytes | None,
) -> egress.Answer:
    try:
        return await egress.exchange(
            client, method, str(url), headers=headers, body=body, limit=MAX_ANSWER_BYTES
        )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        word = egress.classify(error)
        blocked = word == "blocked_target"
        raise BlockFailed(
            "TARGET_NOT_ALLOWED" if blocked else "REQUEST_FAILED",
            f"{method} {_shown(url)}: {_WHY.get(word, word)}",
            category="configuration" if blocked else "network",
        ) from None


def _target(url: URL, location: str) -> URL:
    try:
        following = url.join(URL(location))
    except ValueError:
        following = URL()
    if following.scheme not in ("http", "https") or not following.host:
        raise BlockFailed(
            "REDIRECT_REFUSED", f"{_shown(url)} redirects to something else than HTTP"
        )
    return following


def _with_query(params: HttpRequestParams) -> URL:
    try:
        url = URL(params.url)
        url.origin()
    except ValueError:
        raise _bad_url("must be an http(s) URL") from None
    if url.user is not None or url.password is not None:
        raise _bad_url("must not contain credentials")
    if not params.query:
        return url
    joined = "&".join(part for part in (url.raw_query_string, urlencode(params.query)) if part)
    return URL(str(url.with_query(None).with_fragment(None)) + "?" + joined, encoded=True)


def _bad_url(why: str) -> BlockFailed:
    return BlockFailed("INVALID_PARAMS", f"params.url: {why}", category="configuration")


def _payload(params: HttpRequestParams) -> bytes | None:
    if params.body is not None:
        return params.body.encode("utf-8", "replace")
    return None if params.json_body is None else orjson.dumps(params.json_body)


def _headers(params: HttpRequestParams, step_key: str) -> dict[str, str]:
    headers = {"User-Agent": "podium", "Idempotency-Key": step_key}
    if params.json_body is not None:
        headers["Content-Type"] = "application/json"
    given = {name.lower() for name in params.headers}
    return {k: v for k, v in headers.items() if k.lower() not in given} | params.headers


def _body(answer: egress.Answer) -> dict[str, Any]:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return {"json": orjson.loads(answer.body)}
        except orjson.JSONDecodeError:
            return {"text": answer.body.decode("utf-8", "replace")}
    return {"text": answer.body.decode("utf-8", "replace")}


def _unexpected(answer: egress.Answer, params: HttpRequestParams, shown: str) -> BlockFailed:
    wanted = "2xx" if params.expect_status is None else ", ".join(map(str, params.expect_status))
    limited = answer.status == 429
    again = answer.status in _TRY_AGAIN
    return BlockFailed(
        "UNEXPECTED_STATUS",
        f"{params.method} {shown} answered {answer.status}, expected {wanted}",
        category="rate_limit" if limited else "transient" if again else "business",
        retryable=again,
    )


def _shown(url: URL) -> str:
    """The address without query and user, which may hold secrets."""
    return str(url.with_query(None).with_fragment(None).with_user(None))[:300]
