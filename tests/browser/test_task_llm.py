"""The LLM planner on real pages, with a scripted model behind a real HTTP endpoint."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from libs.clock import Clock
from libs.secrets import Secret
from services.task import actions
from services.task.acting.scene import Scene
from services.task.domain import Reason, TaskFailure
from services.task.llm import ChatModel
from services.task.planner import Goal, Past
from services.task.planner.llm import LlmPlanner, LlmReader
from tests.support.sites.model import Model, model
from tests.support.sites.office import PASSWORD, Office
from tests.support.sites.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Hurried(Clock):
    """A clock whose sleeps are noted and not slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest_asyncio.fixture(loop_scope="module")
async def scripted() -> AsyncIterator[Model]:
    async with model() as scripted:
        yield scripted


@pytest_asyncio.fixture(loop_scope="module")
async def chat(scripted: Model) -> AsyncIterator[ChatModel]:
    chat = ChatModel(scripted.url, Secret("sk-1"), "small", Hurried())
    yield chat
    await chat.close()


def saying(kind: str, element: str = "", **params: Any) -> Callable[[dict[str, Any]], Any]:
    """The model picks the element whose line on the page holds these words."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        action: dict[str, Any] = {"kind": kind, **params}
        if element:
            page = body["messages"][-1]["content"]
            found = re.search(rf'\[(\w+)\] (?!label |text )\w+ "{re.escape(element)}"', page)
            assert found, page
            action["target"] = {"ref": found[1]}
        return {"reason": "because", "action": action}

    return answer


async def at(browser: Stage, site: Office, page: str) -> Scene:
    scene = await browser.scene(credential_id="cred_1")
    await scene.page.goto(f"{site.url}/page/{page}")
    return scene


async def pursue(goal: Goal, scene: Scene, chat: ChatModel) -> list[Past]:
    planner, past = LlmPlanner(chat), []
    while True:
        mark = (await scene.look()).mark
        step = await planner.next(goal, scene.look, past)
        assert step is not None
        kind = step.kind  # type: ignore[attr-defined]
        past.append(Past(kind, actions.dump(step), page_mark=mark))
        if kind == "finish":
            return past
        await actions.perform(step, scene)


async def test_it_reaches_a_goal(
    browser: Stage, site: Office, scripted: Model, chat: ChatModel
) -> None:
    scene = await at(browser, site, "form")
    scripted.script = [
        saying("fill", "Full name", value="Ada"),
        saying("fill", "Notes", value="$credential.password"),
        saying("select", "Country", options=["Austria"]),
        saying("click", "Save"),
        saying("finish", answer="done"),
    ]
    past = await pursue(Goal("Register Ada from Austria", True), scene, chat)
    assert [p.kind for p in past] == ["fill", "fill", "select", "click", "finish"]
    assert past[3].params == {"target": {"role": "button", "name": "Save"}}
    assert site.posted[0]["name"] == "Ada"
    assert site.posted[0]["notes"] == PASSWORD
    assert PASSWORD not in scripted.prompts
    assert PASSWORD not in repr(past)
    assert scripted.keys[0] == "Bearer sk-1"


async def test_the_page_is_fenced_as_untrusted(
    browser: Stage, site: Office, scripted: Model, chat: ChatModel
) -> None:
    scene = await at(browser, site, "injection")
    scripted.script = [saying("finish"), saying("finish")]
    for _ in range(2):
        await LlmPlanner(chat).next(Goal("like it"), scene.look, [])
    first, second = (body["messages"][-1]["content"] for body in scripted.asked)
    fence = re.search(r"<page (\S+)>\n(.*)\n</page \1>$", first, re.DOTALL)
    assert fence is not None
    assert "IGNORE ALL PREVIOUS" in fence[2]
    assert "IGNORE ALL PREVIOUS" not in first.replace(fence[2], "")
    assert f"<page {fence[1]}>" not in second
    assert "UNTRUSTED DATA" in scripted.asked[0]["messages"][0]["content"]


async def test_only_shown_elements_and_offered_actions(
    browser: Stage, site: Office, scripted: Model, chat: ChatModel
) -> None:
    scene = await at(browser, site, "injection")
    scripted.script = [
        {"reason": "r", "action": {"kind": "click", "target": {"ref": "f9e999"}}},
        {"reason": "r", "action": {"kind": "login"}},
    ]
    with pytest.raises(TaskFailure) as caught:
        await LlmPlanner(chat).next(Goal("like it"), scene.look, [])
    assert caught.value.reason == Reason.PLANNER_FAILED
    assert "f9e999" in scripted.asked[1]["messages"][-1]["content"]
    offered = scripted.asked[0]["response_format"]["json_schema"]["schema"]
    kinds = {a["properties"]["kind"]["const"] for a in offered["properties"]["action"]["anyOf"]}
    assert "login" not in kinds
    assert {"click", "finish", "report_infeasible"} <= kinds


async def test_it_does_not_go_in_circles(
    browser: Stage, site: Office, scripted: Model, chat: ChatModel
) -> None:
    scene = await at(browser, site, "injection")
    scripted.script = [saying("click", "Like") for _ in range(9)]
    with pytest.raises(TaskFailure, match="3 times to no effect"):
        await pursue(Goal("like it"), scene, chat)
    assert len(scripted.script) == 6


async def test_retries_by_kind_of_failure(scripted: Model) -> None:
    clock = Hurried()
    chat = ChatModel(scripted.url, Secret(""), "small", clock)
    scripted.script = [503, 429, "not json", '```json\n{"a": 1}\n```']
    assert await chat.complete([{"role": "user", "content": "x"}], {}) == {"a": 1}
    assert clock.slept == [1.0, 2.0]
    scripted.script = [401]
    with pytest.raises(TaskFailure, match="answered 401"):
        await chat.complete([{"role": "user", "content": "x"}], {})
    assert scripted.keys[0] == ""
    await chat.close()
    away = ChatModel("http://127.0.0.1:9/v1", Secret(""), "small", clock)
    with pytest.raises(TaskFailure, match="does not answer"):
        await away.complete([], {})
    await away.close()


async def test_an_endpoint_without_schemas(scripted: Model, chat: ChatModel) -> None:
    scripted.knows_schemas = False
    scripted.script = [{"b": 2}]
    assert await chat.complete([{"role": "user", "content": "x"}], {"type": "object"}) == {"b": 2}
    assert "fits this JSON Schema" in scripted.asked[-1]["messages"][0]["content"]


async def test_the_model_reads_what_rules_cannot(
    browser: Stage, site: Office, scripted: Model, chat: ChatModel
) -> None:
    scene = await at(browser, site, "fields")
    scene.reader = LlmReader(chat)
    wanted = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
    scripted.script = [{"data": {"mood": "good"}}, {"data": {"mood": 3}}]
    action = actions.parse({"kind": "extract", "schema": wanted}, "a")
    assert await actions.perform(action, scene) == {"mood": "good"}
    with pytest.raises(TaskFailure, match="does not fit the schema"):
        await actions.perform(action, scene)
