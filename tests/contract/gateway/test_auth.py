"""Keys: nothing opens without one, over the whole table of paths and RPCs."""

from __future__ import annotations

import stat
from datetime import UTC, datetime

import grpc
import pytest

from gateway import auth, store
from gateway.catalog import public_methods
from libs import ids
from libs.clock import Clock
from libs.db import open_database
from tests.contract.gateway.edge import edge

METHODS = public_methods()
PATHS = sorted(
    {(b.verb, b.template.replace("{", "").replace("}", "")) for m in METHODS for b in m.bindings}
    | {("GET", "/no/such/path"), ("PATCH", "/v1/runs")}
)
WRONG = {
    "none": {},
    "empty": {"x-api-key": ""},
    "garbage": {"x-api-key": "letmein"},
    "unknown": {"x-api-key": "podium_00000000_" + "0" * 64},
    "basic": {"authorization": "Basic cG9kaXVt"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_no_rest_path_opens_without_a_good_key(front, wrong):
    for verb, path in PATHS:
        async with front.http.request(verb, front.url + path, headers=wrong) as answer:
            body = await answer.json(content_type=None)
            assert (answer.status, body["code"]) == (401, "UNAUTHENTICATED"), (verb, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert front.runs.requests == []


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_no_rpc_opens_without_a_good_key(front, wrong):
    for method in METHODS:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            if method.rpc.streaming:
                call = front.channel.unary_stream(method.rpc.path)
                await call(b"", metadata=list(wrong.items())).read()
            else:
                await front.channel.unary_unary(method.rpc.path)(b"", metadata=list(wrong.items()))
        assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED, method.rpc.path


async def test_exactly_the_open_pages_are_open(front):
    open_paths = ["/", "/docs", "/healthz", "/live", "/openapi.json", "/runs"]
    assert sorted(front.gateway.pages.open_paths) == open_paths


async def test_the_right_handle_with_a_wrong_secret_is_refused(front):
    wrong = front.key[:-1] + ("0" if front.key[-1] != "0" else "1")
    status, body, _ = await front.ask("GET", "/v1/runs", headers={"x-api-key": wrong})
    assert (status, body["reason"]) == (401, "API_KEY_INVALID")


async def test_the_first_start_makes_one_key_that_only_its_owner_can_read(tmp_path):
    file = tmp_path / "secrets" / "api-key"
    async with edge(tmp_path) as front:
        assert front.gateway.first_start
        key = file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        secret = key.strip().split("_")[2].encode()
    for kept in (tmp_path / "data").iterdir():
        assert secret not in kept.read_bytes()
    async with edge(tmp_path) as front:
        assert not front.gateway.first_start
        assert file.read_text() == key
        assert (await front.ask("GET", "/v1/runs"))[0] == 200


async def test_each_key_speaks_for_its_organisation(front):
    def unit(tx):
        store.add_organization(tx, "org_other", "another")
        return auth.new_key(tx, "org_other", "its key")

    other = await front.gateway.db.write(unit)
    await front.ask("GET", "/v1/runs")
    await front.ask("GET", "/v1/runs", headers={"x-api-key": other})
    first, second = [context.organization_id for context in front.runs.contexts]
    assert second == "org_other"
    assert first != second


async def test_revoked_and_expired_keys_are_refused(tmp_path):
    async with edge(tmp_path, key_cache_s=0) as front:

        def unit(tx):
            store.add_organization(tx, "org_x", "x")
            past = datetime(2020, 1, 1, tzinfo=UTC)
            return auth.new_key(tx, "org_x", "old", past), auth.new_key(tx, "org_x", "new")

        old, new = await front.gateway.db.write(unit)
        _, body, _ = await front.ask("GET", "/v1/runs", headers={"x-api-key": old})
        assert body["reason"] == "API_KEY_EXPIRED"
        assert (await front.ask("GET", "/v1/runs", headers={"x-api-key": new}))[0] == 200
        handle = new.split("_")[1]
        kept = await front.gateway.db.read(lambda tx: store.key_by_handle(tx, handle))
        assert kept is not None
        await front.gateway.db.write(lambda tx: store.revoke_key(tx, "org_x", kept.key_id))
        _, body, _ = await front.ask("GET", "/v1/runs", headers={"x-api-key": new})
        assert body["reason"] == "API_KEY_REVOKED"


def test_keys_look_like_keys():
    assert auth.presented_key({"authorization": "bearer  abc "}) == "abc"
    assert auth.presented_key({"x-api-key": "k", "authorization": "Bearer b"}) == "k"
    assert ids.new("key").startswith("key_")


async def test_the_first_key_may_be_given(tmp_path):
    """Replicas of a mesh in containers have no home in common to leave a key in."""
    clock, file, given = Clock(), tmp_path / "api-key", auth.key_text()
    db = await open_database(f"sqlite:///{tmp_path}/g.db", store.METADATA, clock, "gateway")
    try:
        assert await auth.ensure_first_key(db, file, given)
        assert not file.exists()
        assert (await auth.Keys(db, clock, 0).identify({"x-api-key": given})).organization_id
        assert not await auth.ensure_first_key(db, file, auth.key_text())
    finally:
        await db.close()


async def test_a_given_key_that_is_none_is_refused(tmp_path):
    db = await open_database(f"sqlite:///{tmp_path}/g.db", store.METADATA, Clock(), "gateway")
    try:
        with pytest.raises(SystemExit, match="PODIUM_FIRST_API_KEY"):
            await auth.ensure_first_key(db, tmp_path / "api-key", "hunter2")
    finally:
        await db.close()
