"""The story of Podium, told through each of its doors, and the ways in which it can go wrong."""

import hashlib
import os
import signal

import pytest

from deploy.demo import orders
from libs import ids
from tests.mesh.conftest import brought_up
from tests.mesh.doors import Refused, word
from tests.mesh.world import USERNAME, world
from tests.support.eventually import eventually

# The command speaks gRPC as the second door does, in a process for each call: it comes last.
BY_COMMAND = pytest.param("cli", marks=pytest.mark.long)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("kind", ["rest", "grpc", "cli"])
async def test_a_month_of_orders_comes_home(mesh, kind):
    async with world(mesh, kind) as acme:
        request = {"parameters": {"month": "August 2026"}, "idempotency_key": ids.token(9)}
        run_id = await acme.run(**request)
        assert await acme.run(**request) == run_id, "the same key, the same run"
        history = await acme.door.watch(run_id)
        run = await acme.has_ended(run_id, "COMPLETED")

        output = run["output"]
        assert output["orders"] == expected_orders("2026-08")
        assert output["total"] == round(sum(o["total"] for o in expected_orders("2026-08")), 2)
        await the_files_are_right(acme, run_id, output, "2026-08")
        assert (await acme.told(run_id)).body["data"]["output"] == output
        assert acme.portal.code_attempts == 1

        assert [int(event["sequence"]) for event in history] == list(range(1, len(history) + 1))
        assert history[-1]["type"] == "run.finished"
        resumed = await acme.door.watch(run_id, after=5)
        assert [event["hash"] for event in resumed] == [event["hash"] for event in history[5:]]


def expected_orders(month):
    return [
        {
            "order_number": order.number,
            "date": order.date,
            "customer": order.customer,
            "total": whole(order.total_cents / 100),
            "status": order.status,
        }
        for order in orders.in_month(month)
    ]


def whole(number):
    return int(number) if number.is_integer() else number


async def the_files_are_right(acme, run_id, output, month):
    listed = await acme.door.ask("browser_session.ListArtifacts", {"run_id": run_id})
    files = {file["artifact_id"]: file for file in listed["artifacts"]}
    statement, picture = files[output["statement"]], files[output["picture"]]
    assert (statement["kind"], picture["kind"]) == ("download", "screenshot")
    assert statement["name"] == f"statement-{month}.csv"
    assert picture["content_type"] == "image/png"
    assert await acme.door.content(output["statement"]) == orders.statement(month)
    png = await acme.door.content(output["picture"])
    assert png.startswith(PNG)
    assert hashlib.sha256(png).hexdigest() == picture["sha256"]


async def test_the_open_orders_are_looked_into(mesh):
    async with world(mesh) as acme:
        run = await acme.has_ended(await acme.run(), "COMPLETED")
        found = [found["articles"] for found in run["output"]["articles"] if found]
        expected = [
            [
                {"article": x.article, "quantity": x.quantity, "price": whole(x.price_cents / 100)}
                for x in order.lines
            ]
            for order in orders.in_month("2026-09")
            if order.status == "Open"
        ]
        assert found == expected


@pytest.mark.parametrize("kind", ["rest", "grpc", BY_COMMAND])
async def test_a_code_can_be_pushed_in_while_the_login_waits(mesh, kind):
    async with world(mesh, kind, pushed_codes=True) as acme:
        run_id = await acme.run()

        async def waiting():
            listed = await acme.door.ask("totp.ListChallenges", {"page_size": 10})
            waiting = "CHALLENGE_STATE_WAITING"
            mine = [c for c in listed.get("challenges", ()) if c.get("run_id") == run_id]
            return next((c for c in mine if c["state"] == waiting), None)

        challenge = await eventually(waiting, within=20)
        assert challenge["identifier"] == USERNAME
        acme.portal.customer.sent_code = "482913"
        message = {
            "identifier": USERNAME,
            "content": "Acme Supplies: your verification code is 482913. Do not share it.",
            "source": "MESSAGE_SOURCE_SMS",
        }
        answer = await acme.door.ask("totp.SubmitMessage", message)
        assert word(answer["state"]) == "AVAILABLE"
        run = await acme.has_ended(run_id, "COMPLETED")
        assert run["output"]["orders"] == expected_orders("2026-09")
        history = await acme.door.watch(run_id)
        assert "482913" not in str(history), "codes never travel in events"


async def test_a_key_used_for_another_request_is_a_conflict(mesh):
    async with world(mesh) as acme:
        workflow = await acme.blocks(wait_block(0))
        key = ids.token(9)
        await acme.run(workflow, idempotency_key=key)
        with pytest.raises(Refused) as refused:
            await acme.run(workflow, idempotency_key=key, labels={"other": "request"})
        assert refused.value.reason == "IDEMPOTENCY_CONFLICT"
        assert refused.value.code == 409


async def test_a_wrong_code_fails_the_login_with_a_reason(mesh):
    async with world(mesh) as acme:
        acme.portal.faults.refuse_codes = True
        run = await acme.has_ended(await acme.run(), "FAILED")
        failure = run["failure"]
        assert failure["block_path"] == "sign_in"
        assert "code" in failure["message"].lower(), failure
        assert compensated(run) >= {"acquire_browser_session"}
        told = (await acme.told(run["run_id"])).body["data"]["failure"]
        assert told["reason"] == failure["reason"]


async def test_an_element_that_is_not_there_fails_by_name(mesh):
    async with world(mesh) as acme:
        click = {"kind": "click", "target": {"role": "button", "name": "Buy a pony"}}
        workflow = await acme.blocks(
            {"label": "open", "kind": "goto_url", "params": {"url": f"{acme.url}/login"}},
            {"label": "buy", "kind": "action", "params": {"actions": [click | SOON]}},
        )
        run = await acme.has_ended(await acme.run(workflow), "FAILED")
        assert run["failure"]["block_path"] == "buy"
        assert "Buy a pony" in run["failure"]["message"]
        assert run["failure"].get("screenshot_artifact_id", "").startswith("art_")


SOON = {"timeout_ms": 1500}


async def test_a_page_that_never_loads_fails_in_time(mesh):
    async with world(mesh) as acme:
        acme.portal.faults.hanging_paths.add("/login")
        opening = {"label": "open", "kind": "goto_url", "timeout_s": 3}
        workflow = await acme.blocks(opening | {"params": {"url": f"{acme.url}/login"}})
        run = await acme.has_ended(await acme.run(workflow), "FAILED", within_s=20)
        assert run["failure"]["block_path"] == "open"
        assert run["failure"]["message"]


async def test_an_order_page_that_breaks_fails_in_its_iteration(mesh):
    async with world(mesh) as acme:
        is_open = next(o for o in orders.in_month("2026-09") if o.status == "Open")
        acme.portal.faults.broken_orders.add(is_open.number)
        run = await acme.has_ended(await acme.run(), "FAILED")
        place = orders.in_month("2026-09").index(is_open)
        assert run["failure"]["block_path"] == f"each_order.{place}.articles"


async def test_a_download_that_is_not_there_fails(mesh):
    async with world(mesh) as acme:
        acme.portal.faults.without_statement = True
        login = {"url": f"{acme.url}/login", "credential_id": acme.credential}
        target = {"role": "link", "name": "Download statement"}
        workflow = await acme.blocks(
            {"label": "sign_in", "kind": "login", "params": login},
            {"label": "statement", "kind": "file_download", "params": {"target": target} | SOON},
        )
        run = await acme.has_ended(await acme.run(workflow), "FAILED")
        assert run["failure"]["block_path"] == "statement"
        assert "no file arrived" in run["failure"]["message"]


async def test_a_cancel_interrupts_the_running_block(mesh):
    async with world(mesh) as acme:
        workflow = await acme.blocks(
            {"label": "open", "kind": "goto_url", "params": {"url": f"{acme.url}/login"}},
            wait_block(600),
        )
        run_id = await acme.run(workflow)
        await is_in_block(acme, run_id, "pause")
        await acme.door.ask("run.CancelRun", {"run_id": run_id, "reason": "changed my mind"})
        run = await acme.has_ended(run_id, "CANCELED", within_s=10)
        assert compensated(run) >= {"acquire_browser_session"}
        again = await acme.door.ask("run.CancelRun", {"run_id": run_id})
        assert word(again["run"]["state"]) == "CANCELED"


def wait_block(seconds):
    return {"label": "pause", "kind": "wait", "params": {"seconds": seconds}}


def compensated(run):
    return {s["name"] for s in run["steps"] if word(s["state"]) == "COMPENSATED"}


async def is_in_block(acme, run_id, label):
    """Wait until the run is carrying out this block."""

    async def running():
        run = (await acme.door.ask("run.GetRun", {"run_id": run_id}))["run"]
        if not run.get("workflow_run_id"):
            return False
        request = {"workflow_run_id": run["workflow_run_id"]}
        found = await acme.door.ask("workflow.GetWorkflowRun", request)
        blocks = found["workflow_run"].get("blocks", ())
        return any(b["label"] == label and word(b["state"]) == "RUNNING" for b in blocks)

    await eventually(running, within=20)


@pytest.mark.parametrize("kind", ["rest", "grpc", BY_COMMAND])
async def test_bad_definitions_name_the_place(mesh, kind):
    async with world(mesh, kind) as acme:
        with pytest.raises(Refused) as refused:
            await acme.blocks({"label": "a", "kind": "teleport", "params": {}})
        assert refused.value.reason == "INVALID_ARGUMENT"
        assert "teleport" in refused.value.fields["blocks[0].kind"]
        with pytest.raises(Refused) as refused:
            await acme.blocks({"label": "a", "kind": "goto_url", "params": {"url": "not a url"}})
        assert list(refused.value.fields) == ["blocks[0].params.url"]


BAD_REQUESTS = [
    ({"parameters": {"mouth": "x"}}, "parameters.mouth"),
    ({"parameters": {"month": 7}}, "parameters.month"),
    ({"parameters": {"month": "Smarch"}}, "parameters.month"),
    ({"labels": {"x" * 65: "y"}}, "labels"),
]


@pytest.mark.parametrize("kind", ["rest", "grpc", BY_COMMAND])
async def test_bad_requests_name_the_field(mesh, kind):
    async with world(mesh, kind) as acme:
        for request, field in BAD_REQUESTS:
            with pytest.raises(Refused) as refused:
                await acme.run(**request)
            assert refused.value.reason == "INVALID_ARGUMENT"
            assert field in refused.value.fields, refused.value


async def test_what_is_not_there_is_not_found(mesh):
    async with world(mesh) as acme:
        for rpc, request in [
            ("run.GetRun", {"run_id": ids.new("run")}),
            ("workflow.GetWorkflow", {"workflow_id": "no-such-workflow"}),
            ("run.CreateRun", {"workflow_id": "no-such-workflow"}),
            ("browser_session.GetArtifact", {"artifact_id": ids.new("art")}),
        ]:
            with pytest.raises(Refused) as refused:
                await acme.door.ask(rpc, request)
            assert refused.value.code == 404, rpc


@pytest.fixture(scope="module")
def own_mesh(tmp_path_factory):
    """A mesh whose processes may be killed."""
    with brought_up(tmp_path_factory.mktemp("hurt")) as running:
        yield running


@pytest.mark.parametrize("victim", ["task", "workflow", "run", "webhook"])
async def test_a_run_survives_the_death_of_a_service(own_mesh, victim):
    async with world(own_mesh) as acme:
        rest = {"kind": "wait", "params": {"seconds": 2}}
        fill = {"kind": "fill", "target": {"label": "User name"}, "value": "dana"}
        workflow = await acme.blocks(
            {"label": "open", "kind": "goto_url", "params": {"url": f"{acme.url}/login"}},
            {"label": "pause", **rest},
            {"label": "type", "kind": "action", "params": {"actions": [fill]}},
            {"label": "picture", "kind": "screenshot", "params": {"name": "end.png"}},
            output={"picture": "{{ blocks.picture.output.artifact_id }}"},
        )
        run_id = await acme.run(workflow)
        await is_in_block(acme, run_id, "pause")
        os.kill(own_mesh.process(f"{victim}-1").pid, signal.SIGKILL)
        run = await acme.has_ended(run_id, "COMPLETED")
        assert (await acme.door.content(run["output"]["picture"])).startswith(PNG)
        history = await acme.door.watch(run_id)
        assert [int(event["sequence"]) for event in history] == list(range(1, len(history) + 1))


async def test_a_run_survives_the_task_service_dying_in_the_login(own_mesh):
    async with world(own_mesh) as acme:
        acme.portal.faults.delay_s = 0.7
        run_id = await acme.run()
        await is_in_block(acme, run_id, "sign_in")
        os.kill(own_mesh.process("task-1").pid, signal.SIGKILL)
        acme.portal.faults.delay_s = 0.0
        run = await acme.has_ended(run_id, "COMPLETED", within_s=90)
        assert run["output"]["orders"] == expected_orders("2026-09")
