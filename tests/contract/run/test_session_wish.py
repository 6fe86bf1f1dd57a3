"""What a run asks of its session: it gets there whole, and nobody else reads its secrets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from libs import errors
from podium.browser_session.v1 import browser_session_pb2, settings_pb2
from podium.run.v1 import run_pb2
from services.run.store.tables import session_secrets
from tests.contract.run.calls import a_request, finished, get, rebuilt, watched
from tests.contract.run.upstreams import Upstreams
from tests.support.mesh import Running

PASSWORD, TOKEN = "open-sesame-2291", "header-value-8817"
WISH = {
    "options": {
        "locale": "de-CH",
        "viewport_width": 1440,
        "geolocation": {"latitude": 47.0, "longitude": 8.54},
        "proxy": {"server": "http://proxy.example:3128", "username": "u", "password": PASSWORD},
        "extra_headers": [{"name": "x-tenant", "value": TOKEN}],
        "profile": {"browser_profile_id": "bp_1", "save": True},
        "max_life": "7200s",
    },
    "reuse": {"mode": "REUSE_MODE_PER_KEY", "key": "shop"},
}


def wish(**changed: Any) -> run_pb2.SessionWish:
    return json_format.ParseDict({**WISH, **changed}, run_pb2.SessionWish())


async def created(stub: Any, **fields: Any) -> run_pb2.Run:
    return (await stub.CreateRun(a_request(**fields))).run


async def violations(stub: Any, **fields: Any) -> dict[str, str]:
    with pytest.raises(errors.Invalid) as refused:
        await created(stub, **fields)
    return dict(refused.value.violations)


async def test_a_wish_reaches_the_session_whole(stub: Any, others: Upstreams):
    run = await created(stub, session=wish())

    assert (await finished(stub, run.run_id)).state == run_pb2.RUN_STATE_COMPLETED
    (checked,), (acquired,) = others.browser.checked, others.browser.acquired
    assert checked.options == acquired.options == wish().options
    assert checked.reuse == acquired.reuse == wish().reuse


async def test_a_run_without_a_wish_asks_for_the_usual(stub: Any, others: Upstreams):
    run = await created(stub)

    await finished(stub, run.run_id)
    assert not others.browser.checked
    assert not others.browser.acquired[0].HasField("options")
    assert not run.HasField("session")


async def test_the_key_of_a_workflow_is_its_id(stub: Any, others: Upstreams):
    run = await created(stub, session=wish(reuse={"mode": "REUSE_MODE_PER_WORKFLOW"}))

    await finished(stub, run.run_id)
    assert others.browser.acquired[0].reuse.key == "wf_1"


async def test_secrets_lie_nowhere_in_clear_and_go_with_the_run(
    stub: Any, others: Upstreams, service: Running, tmp_path: Path
):
    others.browser.acquiring = asyncio.Event()
    run = await created(stub, session=wish(), idempotency_key="once")
    await asyncio.wait_for(others.browser.asked.wait(), 10)

    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"proxy.example:3128" in kept
    assert await _sealed(service) == [run.run_id]

    others.browser.acquiring.set()
    ended = await finished(stub, run.run_id)
    told = f"{await watched(stub, run.run_id)}{ended}".encode()
    assert b"proxy.example:3128" in told
    kept += b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (PASSWORD, TOKEN):
        assert secret.encode() not in kept + told
    assert await _sealed(service) == []


async def _sealed(service: Running) -> list[str]:
    def query(tx: Any) -> list[str]:
        return [row.run_id for row in tx.select(session_secrets)]

    return await service.mesh.db.read(query)


async def test_a_run_shows_what_it_asked_for(stub: Any):
    run = await created(stub, session=wish())

    shown = (await get(stub, run.run_id)).session
    assert shown.options.locale == "de-CH"
    assert shown.options.extra_headers[0].name == "x-tenant"
    assert shown.reuse.key == "shop"
    assert shown.options.max_life.seconds == 7200


async def test_a_history_rebuilds_the_wish(stub: Any):
    run = await created(stub, session=wish())
    await finished(stub, run.run_id)

    answer = await rebuilt(stub, run.run_id)
    assert answer.result == run_pb2.REBUILD_RESULT_IDENTICAL, answer


async def test_what_is_wrong_is_named_by_its_place(stub: Any, others: Upstreams):
    others.browser.wrong = [("options.locale", "is no tag"), ("reuse.key", "is too long")]

    assert await violations(stub, session=wish()) == {
        "session.options.locale": "is no tag",
        "session.reuse.key": "is too long",
    }
    assert "create" not in others.workflow.calls


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"browser_session_id": "bs_1"}, "session"),
        ({"session": wish(reuse={"mode": "REUSE_MODE_PER_WORKFLOW", "key": "x"})},
         "session.reuse.key"),
        ({"workflow_id": None, "task": {"goal": "look"},
          "session": wish(reuse={"mode": "REUSE_MODE_PER_WORKFLOW"})}, "session.reuse.mode"),
    ],
)  # fmt: skip
async def test_a_wish_must_fit_the_rest_of_the_request(
    stub: Any, fields: dict[str, Any], place: str
):
    assert set(await violations(stub, **{"session": wish(), **fields})) == {place}


async def test_a_key_is_bound_to_what_may_be_read_of_a_wish(stub: Any):
    first = await created(stub, session=wish(), idempotency_key="k")
    other = wish()
    other.options.proxy.password = "another"
    again = await created(stub, session=other, idempotency_key="k")
    assert again.run_id == first.run_id

    other.options.locale = "fr-CH"
    with pytest.raises(errors.Conflict):
        await created(stub, session=other, idempotency_key="k")


async def test_no_such_profile_is_told_at_once(stub: Any, others: Upstreams):
    others.browser.missing_profile = "bp_1"
    options = browser_session_pb2.SessionOptions(
        profile=settings_pb2.ProfileUse(browser_profile_id="bp_1")
    )
    with pytest.raises(errors.NotFound):
        await created(stub, session=run_pb2.SessionWish(options=options))
