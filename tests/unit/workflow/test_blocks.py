"""Each kind of block: what it asks of the task service, or what it does itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from libs import egress
from libs.clock import Clock
from services.workflow import wire
from services.workflow.blocks import BLOCKS
from services.workflow.blocks.contract import (
    RENDERED,
    BlockContext,
    BlockFailed,
    Outcome,
    Planning,
    TaskOrder,
)
from tests.support.serving import served

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass
class Rules:
    allow_private_targets: bool = True


class Orders:
    """Keeps what was ordered and brings what a test says."""

    def __init__(self, *artifacts: dict[str, Any]) -> None:
        self.orders: list[TaskOrder] = []
        self.artifacts = list(artifacts)

    async def execute(self, order: TaskOrder, context: BlockContext) -> Outcome:
        self.orders.append(order)
        return Outcome({"ok": True}, "1 actions", "task_1", self.artifacts)


def made(**parts: Any) -> BlockContext:
    async def nothing(*_: Any) -> dict[str, Any]:
        return {}

    given = {
        "step_key": "run_1/a/1",
        "block_path": "a",
        "timeout_s": 5.0,
        "browser_session_id": "bs_1",
        "plan": None,
        "clock": Clock(),
        "tasks": Orders(),
        "http": None,
        "sequence": nothing,
        "pause_until": nothing,
        "note_task": lambda _task_id: None,
    }
    return BlockContext(**(given | parts))


async def run(kind: str, params: dict[str, Any], **parts: Any) -> Outcome:
    block = BLOCKS[kind]
    checked = block.Params.model_validate(params, context=RENDERED)
    return await block.run(checked, made(**parts))


SHOT = {"artifact_id": "art_1", "kind": "screenshot", "name": "x.png"}
FILE = {"artifact_id": "art_2", "kind": "download", "name": "o.csv", "size_bytes": 9, "sha256": "f"}


@pytest.mark.parametrize(
    ("kind", "params", "order"),
    [
        ("goto_url", {"url": "https://x.test/"}, TaskOrder(url="https://x.test/")),
        (
            "login",
            {
                "credential_id": "cred_1",
                "url": "https://x.test/",
                "success_text": "Hello",
                "link_hosts": ["x.test"],
            },
            TaskOrder(
                url="https://x.test/",
                login={
                    "credential_id": "cred_1",
                    "totp_identifier": "",
                    "success_text": "Hello",
                    "link_hosts": ["x.test"],
                },
            ),
        ),
        (
            "extraction",
            {"instruction": "orders", "schema": {"type": "array"}},
            TaskOrder(extraction={"instruction": "orders", "schema": {"type": "array"}}),
        ),
        (
            "action",
            {"actions": [{"kind": "click", "target": "Buy"}]},
            TaskOrder(actions=({"kind": "click", "target": "Buy"},)),
        ),
        ("action", {"goal": "buy it"}, TaskOrder(goal="buy it")),
        (
            "file_download",
            {"target": "Export"},
            TaskOrder(actions=({"kind": "download", "timeout_ms": 60000, "target": "Export"},)),
        ),
        (
            "file_download",
            {"download_url": "https://x.test/o.csv", "timeout_ms": 5},
            TaskOrder(
                actions=({"kind": "download", "timeout_ms": 5, "url": "https://x.test/o.csv"},)
            ),
        ),
        (
            "screenshot",
            {"name": "end", "full_page": True},
            TaskOrder(actions=({"kind": "screenshot", "name": "end", "full_page": True},)),
        ),
        (
            "task",
            {
                "url": "https://x.test/",
                "goal": "find the price",
                "extraction_schema": {"type": "number"},
                "credential_id": "cred_1",
                "max_steps": 7,
            },
            TaskOrder(
                url="https://x.test/",
                goal="find the price",
                extraction={"instruction": "", "schema": {"type": "number"}},
                credential_id="cred_1",
                max_steps=7,
            ),
        ),
    ],
)
async def test_a_browser_block_is_one_task(kind, params, order):
    orders = Orders(SHOT, FILE)
    outcome = await run(kind, params, tasks=orders)
    assert orders.orders == [order]
    assert outcome.task_id == "task_1"
    request = wire.execute_request(order, made())
    assert (request.request_id, request.browser_session_id) == ("run_1/a/1", "bs_1")
    assert request.spec.timeout.ToMilliseconds() == 5000
    assert BLOCKS[kind].needs_browser


async def test_a_download_tells_of_its_files():
    outcome = await run("file_download", {"goal": "get it"}, tasks=Orders(SHOT, FILE))
    assert outcome.output["artifact_id"] == "art_2"
    assert outcome.output["files"] == [{k: v for k, v in FILE.items() if k != "kind"}]


@pytest.mark.parametrize(
    ("kind", "params", "reason"),
    [
        ("file_download", {"target": "x"}, "DOWNLOAD_MISSING"),
        ("screenshot", {}, "SCREENSHOT_MISSING"),
    ],
)
async def test_a_task_without_its_file_has_failed(kind, params, reason):
    with pytest.raises(BlockFailed) as failed:
        await run(kind, params, tasks=Orders())
    assert failed.value.failure.reason == reason


def planned(kind: str, params: dict[str, Any], **holds: bool) -> Any:
    block = BLOCKS[kind]
    checked = block.Params.model_validate(params, context=RENDERED)
    return block.plan(checked, Planning(NOW, lambda condition: holds[condition]))


def test_a_wait_ends_at_a_moment():
    assert planned("wait", {"seconds": 90}) == (NOW + timedelta(seconds=90)).isoformat()
    assert planned("wait", {"until": "2026-05-02T02:00:00+02:00"}) == "2026-05-02T00:00:00+00:00"
    month = NOW + timedelta(days=30)
    assert planned("wait", {"until": "2099-01-01T00:00:00Z"}) == month.isoformat()


def test_a_condition_takes_the_first_branch_that_holds():
    inner = [{"label": "x", "kind": "wait", "params": {"seconds": 1}}]
    params = {
        "if": "a",
        "then": inner,
        "elif": [{"if": "b", "then": inner}, {"if": "c", "then": inner}],
        "else": inner,
    }
    assert planned("conditional", params, a=True) == "then"
    assert planned("conditional", params, a=False, b=False, c=True) == "elif_1"
    assert planned("conditional", params, a=False, b=False, c=False) == "else"
    del params["else"]
    assert planned("conditional", params, a=False, b=False, c=False) == ""


def test_a_loop_has_at_most_a_thousand_turns():
    with pytest.raises(ValidationError, match="1000"):
        planned("for_loop", {"items": [1] * 1001, "blocks": [{}]})


@pytest.fixture
async def site():
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        await request.read()
        if request.path == "/json":
            return web.json_response({"n": 1}, headers={"Set-Cookie": "a=b"})
        if request.path == "/text":
            return web.Response(text="hello")
        if request.path == "/large":
            return web.Response(body=b"x" * (1024 * 1024 + 1))
        if request.path.startswith("/status/"):
            return web.Response(status=int(request.path.rsplit("/", 1)[1]))
        if request.path == "/loop":
            raise web.HTTPFound("/loop")
        if request.path == "/here":
            raise web.HTTPFound("/json")
        if request.path == "/away":
            raise web.HTTPTemporaryRedirect(request.query["to"])
        return web.Response(text="not json", content_type="application/json")

    apps = web.Application(), web.Application()
    for app in apps:
        app.router.add_route("*", "/{tail:.*}", handle)
    async with served(apps[0]) as here, served(apps[1]) as there:
        yield [here, there], seen


async def ask(url: str, allow_private: bool = True, **params: Any) -> Outcome:
    async with egress.session(Rules(allow_private)) as http:
        return await run("http_request", {"url": url, **params}, http=http)


async def reason(url: str, allow_private: bool = True, **params: Any) -> tuple[str, str, bool]:
    with pytest.raises(BlockFailed) as failed:
        await ask(url, allow_private, **params)
    why = failed.value
    return why.failure.reason, why.failure.category, why.retryable


async def test_an_answer_is_json_or_text(site):
    (here, _), seen = site
    answer = (await ask(here + "/json", query={"q": "a b&c", "n": 3})).output
    assert (answer["status"], answer["json"]) == (200, {"n": 1})
    assert "set-cookie" not in answer["headers"]
    assert seen[0].query == {"q": "a b&c", "n": "3"}
    assert seen[0].headers["Idempotency-Key"] == "run_1/a/1"
    assert (await ask(here + "/text")).output["text"] == "hello"
    assert (await ask(here + "/broken")).output["text"] == "not json"


async def test_a_body_is_json_or_text_and_headers_are_the_authors(site):
    (here, _), seen = site
    await ask(here + "/json", method="POST", json={"a": [1]}, headers={"x-token": "t", "N": 5})
    assert seen[0].content_type == "application/json"
    assert await seen[0].json() == {"a": [1]}
    assert (seen[0].headers["x-token"], seen[0].headers["N"]) == ("t", "5")
    await ask(here + "/json", method="PUT", body="é", headers={"idempotency-key": "mine"})
    assert await seen[1].text() == "é"
    assert seen[1].headers.getall("Idempotency-Key") == ["mine"]


@pytest.mark.parametrize(
    ("path", "more", "expected"),
    [
        ("/status/404", {}, ("UNEXPECTED_STATUS", "business", False)),
        ("/status/503", {}, ("UNEXPECTED_STATUS", "transient", True)),
        ("/status/429", {}, ("UNEXPECTED_STATUS", "rate_limit", True)),
        ("/json", {"expect_status": [201]}, ("UNEXPECTED_STATUS", "business", False)),
        ("/large", {}, ("RESPONSE_TOO_LARGE", "business", False)),
        ("/loop", {}, ("TOO_MANY_REDIRECTS", "business", True)),
        ("/here", {"redirects": "none"}, ("REDIRECT_REFUSED", "configuration", False)),
        ("/away?to=file:///etc/passwd", {}, ("REDIRECT_REFUSED", "business", True)),
        (
            "/away?to=http://169.254.169.254/",
            {"redirects": "any"},
            ("TARGET_NOT_ALLOWED", "configuration", False),
        ),
    ],
)
async def test_what_is_not_as_expected_fails(site, path, more, expected):
    (here, _), _ = site
    assert await reason(here + path, **more) == expected


async def test_redirects_stay_where_they_may(site):
    (here, elsewhere), seen = site
    assert (await ask(here + "/here")).output["json"] == {"n": 1}
    away = f"{here}/away?to={elsewhere}/json"
    assert (await reason(away))[0] == "REDIRECT_REFUSED"
    secret = {"Authorization": "Bearer x", "Accept": "a/b"}
    seen.clear()
    await ask(away, redirects="any", headers=secret)
    assert seen[0].headers["Authorization"] == "Bearer x"
    assert "Authorization" not in seen[1].headers
    assert seen[1].headers["Accept"] == "a/b"


async def test_an_expected_status_is_no_failure(site):
    (here, _), _ = site
    assert (await ask(here + "/status/404", expect_status=[404])).output["status"] == 404


async def test_private_addresses_are_only_for_local_use(site):
    (here, _), seen = site
    assert (await reason(here + "/json", allow_private=False))[0] == "TARGET_NOT_ALLOWED"
    assert (await reason("http://169.254.169.254/latest"))[0] == "TARGET_NOT_ALLOWED"
    assert not seen


async def test_a_server_that_is_not_there_is_a_network_failure():
    why = await reason("http://127.0.0.1:1/x?token=secret")
    assert why == ("REQUEST_FAILED", "network", True)


async def test_addresses_in_messages_hold_no_secrets(site):
    (here, _), _ = site
    with pytest.raises(BlockFailed) as failed:
        await ask(here + "/status/500?token=secret")
    assert "secret" not in failed.value.failure.message
    assert (await reason("http://user:secret@127.0.0.1/x"))[0] == "INVALID_PARAMS"


async def test_a_request_can_be_cancelled(site):
    (here, _), _ = site
    asking = asyncio.create_task(ask(here + "/json"))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
