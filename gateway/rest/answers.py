"""Sending an answer: whole, in pieces, or as a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.problem import Problem

# Whatever is answered, a browser must not guess at its type.
ALWAYS = {"x-content-type-options": "nosniff"}


class Answer:
    """The answer to one request; it can be begun once."""

    def __init__(self, send: Any, request_id: str, is_head: bool = False) -> None:
        self.request_id = request_id
        self.begun = False
        self._send = send
        self._is_head = is_head

    async def whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Everything at once."""
        await self.begin(status, {**headers, "content-length": str(len(body))})
        await self.piece(b"" if self._is_head else body, is_last=True)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers; pieces follow."""
        self.begun = True
        merged = {**ALWAYS, "x-request-id": self.request_id, **headers}
        encoded = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in merged.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def piece(self, body: bytes, is_last: bool = False) -> None:
        """A part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": not is_last})

    async def failure(self, problem: Problem) -> None:
        """A problem instead of an answer.

        Once an answer has begun its status cannot be taken back: the connection then ends without
        the proper end of the body, which is how HTTP/1.1 says that something is missing.
        """
        if not self.begun:
            await self.whole(problem.status, problem.as_json(), problem.all_headers())
