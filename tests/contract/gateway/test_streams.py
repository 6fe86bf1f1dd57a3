"""Streams over HTTP: events that resume, lines of JSON, raw bytes, and how each breaks."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.contract.gateway.edge import edge
from tests.support.eventually import eventually

NDJSON = {"accept": "application/x-ndjson"}


async def events(front, path: str, **headers: str) -> list[dict[str, str]]:
    """The events of a whole stream."""
    async with front.http.get(front.url + path, headers={**front.auth, **headers}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        blocks = (await answer.text()).strip().split("\n\n")
    pairs = [[line.partition(": ")[::2] for line in block.split("\n")] for block in blocks]
    return [dict(block) for block in pairs if any(key == "event" for key, _ in block)]


async def test_a_history_is_a_stream_of_events(front):
    found = await events(front, "/v1/runs/run_1/watch")
    assert [one.get("id") for one in found] == ["1", "2", "3", None]
    assert [one["event"] for one in found] == ["block.finished"] * 3 + ["end"]
    assert json.loads(found[0]["data"])["event"]["run_id"] == "run_1"


@pytest.mark.parametrize(
    ("path", "headers", "ids"),
    [
        ("?after_sequence=2", {}, ["3"]),
        ("", {"last-event-id": "1"}, ["2", "3"]),
        ("?after_sequence=1", {"last-event-id": "2"}, ["3"]),
    ],
)
async def test_it_resumes_where_it_was_lost(front, path, headers, ids):
    found = await events(front, f"/v1/runs/run_1/watch{path}", **headers)
    assert [one["id"] for one in found if "id" in one] == ids


async def test_a_made_up_event_id_is_refused(front):
    status, body, _ = await front.ask("GET", "/v1/runs/run_1/watch", headers={"last-event-id": "x"})
    assert (status, body["violations"][0]["field"]) == (400, "Last-Event-ID")


async def test_a_stream_that_cannot_begin_is_a_problem(front):
    status, body, _ = await front.ask("GET", "/v1/runs/missing/watch")
    assert (status, body["code"]) == (404, "NOT_FOUND")
    status, _, _ = await front.ask("GET", "/v1/artifacts/missing/content")
    assert status == 404


async def test_a_stream_that_breaks_says_so_in_its_last_event(front):
    *_, last = await events(front, "/v1/runs/breaks/watch")
    assert last["event"] == "error"
    problem = json.loads(last["data"])
    assert (problem["status"], problem["code"]) == (503, "UNAVAILABLE")


async def test_lines_of_json(front):
    url = f"{front.url}/v1/runs/breaks/watch"
    async with front.http.get(url, headers={**front.auth, **NDJSON}) as answer:
        assert answer.content_type == "application/x-ndjson"
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [line["event"]["sequence"] for line in lines[:3]] == ["1", "2", "3"]
    assert lines[3]["error"]["code"] == "UNAVAILABLE"


async def test_a_quiet_stream_is_kept_alive_and_ends_with_its_reader(tmp_path):
    async with edge(tmp_path, keep_alive_s=0.05) as front:
        url = f"{front.url}/v1/runs/quiet/watch?after_sequence=3"
        answer = await front.http.get(url, headers=front.auth)
        assert answer.status == 200  # Though the service has not said a word.
        while b": still here" not in await answer.content.readline():
            pass
        bulkhead = front.gateway.upstreams.guards["run"].bulkhead
        assert (bulkhead.long_lived, bulkhead.running) == (1, 0)
        answer.close()
        await eventually(lambda: front.runs.cancelled == 1)
        await eventually(lambda: bulkhead.long_lived == 0)


async def test_bytes_are_an_attachment_of_their_own_type(front):
    url = f"{front.url}/v1/artifacts/art_1/content"
    async with front.http.get(url, headers=front.auth) as answer:
        assert await answer.read() == b"\x89PNGrest"
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"] == 'attachment; filename="art_1.png"'
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_bytes_that_break_off_never_look_complete(front):
    url = f"{front.url}/v1/artifacts/torn/content"
    async with front.http.get(url, headers=front.auth) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_draining_ends_streams_without_an_end_event(tmp_path):
    async with edge(tmp_path, drain_grace_s=5) as front:
        url = f"{front.url}/v1/runs/quiet/watch"
        answer = await front.http.get(url, headers=front.auth)
        while b"id: 3" not in await answer.content.readline():
            pass
        rest = asyncio.create_task(answer.content.read())
        front.gateway.streaming.drain()
        assert b"event: end" not in await rest
    assert front.runs.cancelled == 1
