"""Tasks from the outside: asked for, followed, finished, cancelled, refused, taken over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import async_playwright

from libs import errors, ids
from libs.db import Tx
from podium.task.v1 import task_pb2 as pb
from services.task import store
from services.task.domain import ActionRecord, ActionState, Phase
from tests.contract.task.conftest import Hall, asking
from tests.support.eventually import eventually
from tests.support.sites.model import model
from tests.support.sites.office import PASSWORD

COUNT = {"kind": "click", "target": "Count"}


async def test_login_extract_download_and_screenshot(hall: Hall) -> None:
    hall.site.good_codes = {"424242"}
    hall.totp.codes = ["424242"]
    updates = await hall.execute(
        url=f"{hall.site.url}/login",
        login=pb.Login(credential_id="shop", success_text="Signed in as"),
        screenshot_name="orders.png",
        schema={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"order_number": {"type": "integer"}, "total": {"type": "number"}},
            },
        },
    )
    assert updates[0].started.state == pb.TASK_STATE_QUEUED
    assert [u.action.kind for u in updates[1:-1]] == ["goto", "login", "extract", "screenshot"]
    done = updates[-1].finished
    assert done.state == pb.TASK_STATE_COMPLETED, done.failure
    assert done.output.list_value.values[0].struct_value["total"] == 1234.5
    assert [(a.kind, a.name) for a in done.artifacts] == [("screenshot", "orders.png")]
    assert all(a.succeeded and a.planner == "explicit" for a in done.actions)
    assert PASSWORD not in str(done)
    assert "424242" not in str(done)
    done = await hall.finished(actions=[{"kind": "download", "target": "Download report"}])
    assert done.artifacts[0].sha256
    assert done.artifacts[0].kind == "download"
    assert hall.sessions.attached == 1


async def test_the_same_request_never_makes_a_second_task(hall: Hall) -> None:
    url = f"{hall.site.url}/page/counter"
    actions = [COUNT, {"kind": "wait_for", "text": "Clicks: 1"}]
    first, second = await asyncio.gather(
        hall.finished("step-1", url=url, actions=actions),
        hall.finished("step-1", url=url, actions=actions),
    )
    third = await hall.execute("step-1", url=url, actions=actions)
    assert first == second == third[-1].finished
    assert first.state == pb.TASK_STATE_COMPLETED, first.failure
    assert hall.site.clicks == 1
    with pytest.raises(errors.Conflict) as caught:
        await hall.execute("step-1", url=url)
    assert caught.value.reason == "IDEMPOTENCY_CONFLICT"


async def test_a_failure_says_why_and_has_a_picture(hall: Hall) -> None:
    done = await hall.finished(
        url=f"{hall.site.url}/page/form",
        actions=[{"kind": "click", "target": "Save all", "timeout_ms": 300}, COUNT],
    )
    assert done.state == pb.TASK_STATE_FAILED
    assert done.failure.reason == "TARGET_NOT_FOUND"
    assert 'button "Save"' in done.failure.message
    assert done.failure.block_path == "step"
    assert done.failure.screenshot_artifact_id == "art_s1"
    assert hall.sessions.screenshots == ["failed-2-click.png"]
    assert [a.succeeded for a in done.actions] == [True, False]


async def test_a_goal_is_carried_out_by_rules_or_refused(hall: Hall) -> None:
    done = await hall.finished(
        url=f"{hall.site.url}/page/fields", goal="read the invoice number and the total"
    )
    assert done.state == pb.TASK_STATE_COMPLETED, done.failure
    assert done.output.struct_value["invoice_number"] == "INV-77"
    assert done.actions[1].planner == "rules"
    done = await hall.finished(goal="make my day")
    assert (done.state, done.failure.reason) == (pb.TASK_STATE_FAILED, "NOT_UNDERSTOOD")
    assert "make my day" in done.failure.message


async def test_cancel_interrupts_within_a_second(hall: Hall) -> None:
    updates = hall.updates("slow", actions=[{"kind": "wait_for", "seconds": 60}])
    started = (await anext(updates)).started

    async def is_running() -> bool:
        found = await hall.stub().GetTask(pb.GetTaskRequest(task_id=started.task_id))
        return bool(found.task.actions)

    await eventually(is_running)
    async with asyncio.timeout(1):
        await hall.stub().CancelTask(pb.CancelTaskRequest(request_id="slow", reason="enough"))
        done = [update async for update in updates][-1].finished
    assert done.state == pb.TASK_STATE_CANCELED
    assert "enough" in done.failure.message
    again = await hall.stub().CancelTask(pb.CancelTaskRequest(task_id=started.task_id))
    assert again.task.state == pb.TASK_STATE_CANCELED
    nothing = await hall.stub().CancelTask(pb.CancelTaskRequest(request_id="never asked"))
    assert not nothing.HasField("task")


async def test_a_task_ends_when_its_time_is_over(hall: Hall) -> None:
    await hall.finished(url=f"{hall.site.url}/page/form")
    request = asking(url=f"{hall.site.url}/hang")
    request.spec.timeout.FromMilliseconds(1500)
    updates = [update async for update in hall.follow(request)]
    done = updates[-1].finished
    assert done.state == pb.TASK_STATE_TIMED_OUT
    assert "1.5 s (during action 1, goto)" in done.failure.message


async def test_another_replica_goes_on_after_the_last_action(hall: Hall) -> None:
    """A drained replica stops in the middle; the other does not repeat what was done."""
    actions = [COUNT, {"kind": "wait_for", "text": "Clicks: 1"},
               {"kind": "wait_for", "text": "go on"}, COUNT,
               {"kind": "wait_for", "text": "Clicks: 2"}]  # fmt: skip
    request = asking("moved", url=f"{hall.site.url}/page/counter", actions=actions)
    following = asyncio.create_task(_collect(hall.follow(request)))

    async def waiting() -> bool:
        listed = await hall.stub("gateway").ListTasks(pb.ListTasksRequest())
        if not listed.tasks:
            return False
        task_id = listed.tasks[0].task_id
        found = await hall.stub("gateway").GetTask(pb.GetTaskRequest(task_id=task_id))
        return len(found.task.actions) == 4

    await eventually(waiting, within=10)
    await hall.service()
    await asyncio.gather(*(drain() for drain in hall.replicas[0].mesh.drains))
    await _say(hall, "go on")
    done = (await asyncio.wait_for(following, 20))[-1].finished
    assert done.state == pb.TASK_STATE_COMPLETED, done.failure
    assert [a.number for a in done.actions] == [1, 2, 3, 4, 5, 6]
    assert hall.site.clicks == 2
    assert hall.sessions.attached == 2


async def test_a_click_that_took_effect_is_not_repeated(hall: Hall) -> None:
    """The agent died after its click and before it could record it; the page shows the effect."""
    await asyncio.gather(*(drain() for drain in hall.replicas[0].mesh.drains))
    url = f"{hall.site.url}/page/counter"
    await _say(hall, "", url=url)
    request = asking(url=url, actions=[COUNT, {"kind": "wait_for", "text": "Counter"}])
    following = hall.follow(request)
    started = (await anext(following)).started
    database = hall.replicas[0].mesh.db

    def died(tx: Tx) -> None:
        task = store.get(tx, "org_a", started.task_id)
        opened = ActionRecord(
            1, "goto", {"url": url}, Phase.URL, "explicit", ActionState.COMPLETED, tx.now
        )
        clicked = ActionRecord(
            2, "click", {"target": {"words": "Count"}}, Phase.ACTIONS, "explicit",
            ActionState.RUNNING, tx.now, page_mark="as it was before",
        )  # fmt: skip
        store.save_actions(tx, task, 0, [opened, clicked])

    await database.write(died)
    await hall.service()
    async with asyncio.timeout(20):
        done = [update async for update in following][-1].finished
    assert done.state == pb.TASK_STATE_COMPLETED, done.failure
    assert "another agent took over" in done.actions[1].output.struct_value["assumed"]
    assert hall.site.clicks == 0


async def test_a_model_takes_over_what_rules_do_not_understand(hall: Hall) -> None:
    await asyncio.gather(*(drain() for drain in hall.replicas[0].mesh.drains))
    async with model() as scripted:
        await hall.service(llm_base_url=scripted.url, llm_model="small")
        scripted.script = [
            {"reason": "r", "action": {"kind": "click", "target": {"ref": "f0e1"}}},
            {"reason": "r", "action": {"kind": "finish", "answer": "counted"}},
            {"reason": "r", "action": {"kind": "report_infeasible", "reason": "no cat here"}},
        ]
        url = f"{hall.site.url}/page/counter"
        done = await hall.finished(url=url, goal="Bump the number on this page once")
        assert done.state == pb.TASK_STATE_COMPLETED, done.failure
        assert done.output.struct_value["answer"] == "counted"
        assert [a.planner for a in done.actions] == ["explicit", "llm", "llm"]
        assert hall.site.clicks == 1
        done = await hall.finished(url=url, goal="Feed the cat")
        assert done.state == pb.TASK_STATE_TERMINATED
        assert done.failure.message == "no cat here"


async def test_a_session_that_ended_is_named(hall: Hall) -> None:
    hall.sessions.gone = True
    done = await hall.finished(url=f"{hall.site.url}/page/form")
    assert done.failure.reason == "SESSION_LOST"
    assert "the session has ended" in done.failure.message


async def test_bad_input_is_named_and_nothing_is_written(hall: Hall) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await hall.execute(actions=[{"kind": "clik"}, {"kind": "click", "target": {"nam": "x"}}])
    found = dict(caught.value.violations)
    assert 'did you mean "click"?' in found["spec.actions[0].kind"]
    assert "unknown field" in found["spec.actions[1].target.nam"]
    assert not (await hall.stub("gateway").ListTasks(pb.ListTasksRequest())).tasks


async def test_tasks_belong_to_their_organisation(hall: Hall) -> None:
    for number in range(3):
        await hall.finished(f"n{number}", url=f"{hall.site.url}/page/form")
    mine, other = hall.stub("gateway"), hall.stub("gateway", organization="org_b")
    first = await mine.ListTasks(pb.ListTasksRequest(page_size=2))
    rest = await mine.ListTasks(pb.ListTasksRequest(page_size=2, page_token=first.next_page_token))
    assert [len(first.tasks), len(rest.tasks), rest.next_page_token] == [2, 1, ""]
    assert not (await other.ListTasks(pb.ListTasksRequest())).tasks
    with pytest.raises(errors.NotFound):
        await other.GetTask(pb.GetTaskRequest(task_id=first.tasks[0].task_id))
    with pytest.raises(errors.NotFound):
        await mine.GetTask(pb.GetTaskRequest(task_id=ids.new("task")))
    kinds = (await mine.ListActionKinds(pb.ListActionKindsRequest())).action_kinds
    assert {"click", "fill", "extract", "login"} <= {kind.kind for kind in kinds}
    assert all(kind.summary and kind.schema["properties"] for kind in kinds)


async def _collect(updates: Any) -> list[Any]:
    return [update async for update in updates]


async def _say(hall: Hall, words: str, url: str = "") -> None:
    """Write something on the page, as a person at the live view might."""
    async with async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(hall.sessions.cdp_url)
        page = browser.contexts[0].pages[0]
        if url:
            await page.goto(url)
        await page.evaluate("words => document.body.append(words)", words)
        await browser.close()
