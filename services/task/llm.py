"""A client for any OpenAI-compatible chat endpoint: one JSON answer to one conversation.

The endpoint is a setting of the operator, so it is reached directly; what it answers is untrusted.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson

from libs.clock import Clock
from libs.secrets import Secret

from .domain import Reason, TaskFailure

ANSWER_TIMEOUT_S = 60.0
LARGEST_ANSWER = 1_000_000
# Waits in seconds before each retry, by what went wrong (the mesh's error policy).
_TRANSIENT_S = (1.0, 2.0, 4.0)
_RATE_LIMIT_S = (1.0, 2.0, 3.0, 4.0, 5.0)
_NETWORK_S = (1.0, 2.0)
REPAIRS = 1

Message = dict[str, str]


class ChatModel:
    """One model at one endpoint."""

    def __init__(self, base_url: str, api_key: Secret, model: str, clock: Clock) -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key
        self._model = model
        self._clock = clock
        self._schema_in_prompt = False
        self._client: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def complete(self, messages: list[Message], schema: dict[str, Any]) -> Any:
        """The model's answer as JSON; one that is not JSON is asked for again, once."""
        talk = list(messages)
        for _ in range(REPAIRS + 1):
            text = await self._ask(talk, schema)
            try:
                return orjson.loads(_bare(text))
            except orjson.JSONDecodeError:
                talk += [
                    {"role": "assistant", "content": text[:4000]},
                    {
                        "role": "user",
                        "content": "That was not JSON. Answer with the JSON object only.",
                    },
                ]
        raise TaskFailure(Reason.PLANNER_FAILED, "the model does not answer with JSON")

    async def _ask(self, messages: list[Message], schema: dict[str, Any]) -> str:
        tries = 0
        while True:
            status, body = await self._send(self._body(messages, schema))
            if status == 200:
                return _content(body)
            if status == 400 and not self._schema_in_prompt and "response_format" in body:
                # Servers that know no JSON Schema say so this way; from now on it goes in words.
                self._schema_in_prompt = True
                continue
            waits = _waits(status)
            if tries >= len(waits):
                said = f"answered {status}" if status else "does not answer"
                raise TaskFailure(Reason.PLANNER_FAILED, f"the model's endpoint {said}")
            await self._clock.sleep(waits[tries])
            tries += 1

    def _body(self, messages: list[Message], schema: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._model, "temperature": 0, "messages": messages}
        if self._schema_in_prompt:
            rule = f"Answer with one JSON object that fits this JSON Schema:\n{_json(schema)}"
            body["messages"] = [{"role": "system", "content": rule}, *messages]
            return body
        wanted = {"name": "answer", "schema": schema}
        return {**body, "response_format": {"type": "json_schema", "json_schema": wanted}}

    async def _send(self, body: dict[str, Any]) -> tuple[int, str]:
        """Status and text of the answer; status 0 when there was none."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S), trust_env=False
            )
        headers = {"content-type": "application/json"}
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key.reveal()}"
        try:
            async with self._client.post(
                self._url, data=orjson.dumps(body), headers=headers, allow_redirects=False
            ) as answer:
                raw = await answer.content.read(LARGEST_ANSWER)
                return answer.status, raw.decode(errors="replace")
        except (TimeoutError, aiohttp.ClientError, OSError):
            return 0, ""


def _waits(status: int) -> tuple[float, ...]:
    if status == 0:
        return _NETWORK_S
    if status == 429:
        return _RATE_LIMIT_S
    return _TRANSIENT_S if status >= 500 or status == 408 else ()


def _content(body: str) -> str:
    try:
        return str(orjson.loads(body)["choices"][0]["message"]["content"] or "")
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        raise TaskFailure(
            Reason.PLANNER_FAILED, "the model's endpoint does not speak chat completions"
        ) from None


def _bare(text: str) -> str:
    """The JSON inside a fenced answer."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if start >= 0 else text


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
