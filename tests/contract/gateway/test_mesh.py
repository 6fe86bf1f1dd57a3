"""The mesh's own RPCs: who lives, and settings that running processes heed."""

from __future__ import annotations

import json
import logging

import grpc
import pytest
import pytest_asyncio

from gateway import auth, store
from libs import ids
from libs.events.redis import connect
from libs.registry import ChangedSettings, Registry
from podium.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from services.run.service import RunService
from tests.contract.gateway.edge import edge
from tests.support.eventually import eventually
from tests.support.mesh import running
from tests.support.valkey import valkey


@pytest_asyncio.fixture
async def front(tmp_path):
    """A gateway with a registry of its own."""
    with valkey() as url:
        async with edge(tmp_path, redis_url=url) as opened:
            yield opened


async def put(front, name, **body):
    return await front.ask("PUT", f"/v1/mesh/settings/{name}", json=body)


async def test_the_registry_is_shown_and_stays_when_it_is_away(tmp_path):
    with valkey() as url:
        async with (
            edge(tmp_path, redis_url=url) as front,
            running(RunService, tmp_path, url, version="1.2") as run,
        ):

            async def both():
                _, told, _ = await front.ask("GET", "/v1/mesh")
                found = {each["service"]: each for each in told["replicas"]}
                return found if set(found) == {"run", "gateway"} else None

            found = await eventually(both)
            assert found["run"]["address"] == run.address
            assert (found["run"]["version"], found["run"]["health"]) == ("1.2", "serving")
            assert found["run"]["room"] > 0
            await connect(url).shutdown(nosave=True)
            _, told, _ = await front.ask("GET", "/v1/mesh")
            assert not told["registry_answers"]
            assert {each["service"] for each in told["replicas"]} == {"run", "gateway"}


async def test_who_drains_leaves_at_once(front, tmp_path):
    url = front.gateway.settings.redis_url
    registry = Registry(connect(url))
    async with running(RunService, tmp_path / "run", url) as run:
        await eventually(lambda: _knows(registry, run.mesh.replica))
    assert not await _knows(registry, run.mesh.replica)


async def _knows(registry, replica):
    return replica in [each.replica for each in await _listed(registry)]


async def _listed(registry):
    return (await registry.list()).replicas


async def test_a_change_is_heeded_within_a_second_and_written_down(front, tmp_path):
    url = front.gateway.settings.redis_url
    usual = logging.getLogger().level
    async with running(RunService, tmp_path / "run", url) as run:
        registry = Registry(connect(url))
        await eventually(lambda: _knows(registry, run.mesh.replica))
        [before] = [
            each.room for each in await _listed(registry) if each.replica == run.mesh.replica
        ]
        status, answer, _ = await put(front, "work_concurrency", scope="run", value="3")
        assert (status, answer["before"], answer["after"]) == (200, "", "3")

        async def heeded():
            [mine] = [each for each in await _listed(registry) if each.replica == run.mesh.replica]
            return mine.settings == {"work_concurrency/run": "3"} and mine.room < before

        await eventually(heeded, within=3)
        await put(front, "log_level", value="debug")
        await eventually(lambda: logging.getLogger().level == logging.DEBUG, within=3)
        await put(front, "log_level", value="")
        await eventually(lambda: logging.getLogger().level != logging.DEBUG, within=3)
    logging.getLogger().setLevel(usual)
    _, told, _ = await front.ask("GET", "/v1/mesh/setting_changes?page_size=2")
    newest = [(each["setting"], each["before"], each["after"]) for each in told["changes"]]
    assert newest == [("log_level", "DEBUG", ""), ("log_level", "", "DEBUG")]
    assert all(ids.check("key", "key", each["key_id"]) for each in told["changes"])
    _, rest, _ = await front.ask(
        "GET", f"/v1/mesh/setting_changes?page_token={told['next_page_token']}"
    )
    assert [each["setting"] for each in rest["changes"]] == ["work_concurrency/run"]


async def test_breakers_bulkheads_and_rates_change_where_they_are(front):
    await put(front, "breaker_threshold", value="2")
    await put(front, "breaker_threshold", scope="run", value="9")
    await put(front, "bulkhead_concurrent", scope="run", value="7")
    guards = front.gateway.upstreams.guards
    assert (guards["run"].breaker.threshold, guards["browser_session"].breaker.threshold) == (9, 2)
    assert guards["run"].bulkhead.room.concurrent == 7
    await put(front, "breaker_threshold", scope="run", value="")
    assert guards["run"].breaker.threshold == 2

    async def shown():
        _, told, _ = await front.ask("GET", "/v1/mesh")
        (me,) = told["replicas"]
        return me["settings"].get("breaker_threshold/run") == "2"

    await eventually(shown, within=3)
    _, listed, _ = await front.ask("GET", "/v1/mesh/settings")
    values = {each["name"]: each["values"] for each in listed["settings"]}
    assert values["breaker_threshold"] == {"": "2"}
    assert values["bulkhead_concurrent"] == {"run": "7"}
    await put(front, "rate_burst", value="1")
    await put(front, "rate_per_s", value="0.1")
    assert (await front.ask("GET", "/v1/mesh"))[0] == 429


@pytest.mark.parametrize(
    ("name", "body", "field", "why"),
    [
        ("cheese", {"value": "1"}, "name", "there is no such setting"),
        ("breaker_threshold", {"value": "0"}, "value", "a whole number from 1 to 1000"),
        ("breaker_threshold", {"value": "nan"}, "value", "a whole number"),
        ("breaker_reset_s", {"value": "nan"}, "value", "a number from 0.1"),
        ("log_level", {"value": "LOUD"}, "value", "one of DEBUG, INFO"),
        ("log_level", {"value": "INFO", "scope": "cheese"}, "scope", "there is no such service"),
        ("rate_per_s", {"value": "5", "scope": "run"}, "scope", "is not of one service"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(front, name, body, field, why):
    status, answer, _ = await put(front, name, **body)
    assert status == 400
    (violation,) = answer["violations"]
    assert violation["field"] == field
    assert why in violation["why"]
    assert (await front.ask("GET", "/v1/mesh/setting_changes"))[1]["changes"] == []


async def test_settings_outlive_the_gateway_and_a_redis_that_lost_them(tmp_path):
    with valkey() as url:
        async with edge(tmp_path, redis_url=url) as front:
            await put(front, "breaker_threshold", value="3")
        redis = connect(url)
        await redis.flushall()
        async with edge(tmp_path, redis_url=url) as front:
            assert front.gateway.upstreams.guards["run"].breaker.threshold == 3

            async def told_again():
                return await redis.hget("podium:settings", "values")

            assert json.loads(await eventually(told_again)) == {"breaker_threshold": "3"}
            stale = ChangedSettings(1, {"breaker_threshold": "8"})
            assert not await Registry(redis).change_settings(stale)
        await redis.aclose()


async def test_it_is_for_the_operator_alone(front):
    key = await _other_key(front)
    status, body, _ = await front.ask("GET", "/v1/mesh", headers={"x-api-key": key})
    assert (status, body["reason"]) == (403, "NOT_OPERATOR")
    stub = mesh_pb2_grpc.MeshServiceStub(front.channel)
    asked = mesh_pb2.ChangeSettingRequest(name="log_level", value="DEBUG")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ChangeSetting(asked, metadata=[("x-api-key", key)])
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    answer = await stub.GetMesh(mesh_pb2.GetMeshRequest(), metadata=list(front.auth.items()))
    assert answer.upstreams["run"].breaker.state == "closed"


async def _other_key(front):
    """A key of an organisation that came later."""

    def unit(tx):
        store.add_organization(tx, "org_later", "later")
        return auth.new_key(tx, "org_later", "a key")

    return await front.gateway.db.write(unit)
