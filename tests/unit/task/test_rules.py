"""The rule planner: what it understands, and what it must refuse."""

from __future__ import annotations

from typing import Any

import pytest

from services.task.actions import dump
from services.task.domain import Reason, TaskFailure
from services.task.planner import Goal
from services.task.planner.rules import RulePlanner, plan
from services.task.snapshot import Element, Snapshot


def steps(text: str, *, credential: bool = True) -> list[tuple[str, dict[str, Any]]]:
    return [(s.kind, dump(s)) for s in plan(Goal(text, credential))]  # type: ignore[attr-defined]


def words(text: str, **more: Any) -> dict[str, Any]:
    return {"target": {"words": text, **more}}


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("Open https://shop.example/a?b=1, then click 'Sign in'.",
         [("goto", {"url": "https://shop.example/a?b=1"}), ("click", words("Sign in"))]),
        ("go to shop.example/cart", [("goto", {"url": "https://shop.example/cart"})]),
        ("Go to the Orders page", [("click", words("Orders"))]),
        ("Please click on the Save button", [("click", words("Save button"))]),
        ("press Enter", [("press", {"key": "Enter"})]),
        ("Press ctrl+a and hit the Tab key",
         [("press", {"key": "Control+a"}), ("press", {"key": "Tab"})]),
        ("Press Continue", [("click", words("Continue"))]),
        ("click the second Delete button", [("click", words("Delete button", nth=2))]),
        ("double-click the last row", [("click", {**words("row", nth=-1), "count": 2})]),
        ("Click Save and Continue", [("click", words("Save and Continue"))]),
        ("click 'Save, then open' and open Settings",
         [("click", words("Save, then open")), ("click", words("Settings"))]),
        ("Type hello world into the Message field",
         [("fill", {**words("Message field"), "value": "hello world"})]),
        ("enter 'a, b and click c' in Notes",
         [("fill", {**words("Notes"), "value": "a, b and click c"})]),
        ("Enter Ada into First name and Lovelace into Last name",
         [("fill", {**words("First name"), "value": "Ada"}),
          ("fill", {**words("Last name"), "value": "Lovelace"})]),
        ("Fill in the E-mail with a@b.example",
         [("fill", {**words("E-mail"), "value": "a@b.example"})]),
        ("set Country to Austria", [("fill", {**words("Country"), "value": "Austria"})]),
        ("select Austria from the Country list",
         [("select", {**words("Country list"), "options": ["Austria"]})]),
        ("choose Premium", [("select", {"options": ["Premium"]})]),
        ("choose the Billing tab", [("click", words("Billing tab"))]),
        ("check 'Terms' and 'News'", [("check", words("Terms")), ("check", words("News"))]),
        ("tick the newsletter box; untick Dark mode",
         [("check", words("newsletter box")), ("uncheck", words("Dark mode"))]),
        ("Log in and then download the report",
         [("login", {}), ("download", words("report"))]),
        ("sign in with the stored credential", [("login", {})]),
        ("Log in to https://a.example/login",
         [("goto", {"url": "https://a.example/login"}), ("login", {})]),
        ("enter the verification code", [("type_code", {})]),
        ("Search for red shoes",
         [("fill", {"target": {"role": "searchbox"}, "value": "red shoes", "submit": True})]),
        ("wait for 'Results ready' to appear", [("wait_for", {"text": "Results ready"})]),
        ("wait until 'Loading' disappears", [("wait_for", {"text": "Loading", "gone": True})]),
        ("wait 2 seconds then take a full-page screenshot",
         [("wait_for", {"seconds": 2.0}), ("screenshot", {"full_page": True})]),
        ("verify that the page says 'Thank you'",
         [("wait_for", {"text": "Thank you", "timeout_ms": 10000})]),
        ("extract the open orders table", [("extract", {"instruction": "the open orders table"})]),
        ("scroll to the bottom", [("scroll", {"direction": "bottom"})]),
        ("go back", [("go_back", {})]),
        ("Wait for the page to load, then click OK", [("click", words("OK"))]),
    ],
)  # fmt: skip
def test_it_understands(goal: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    assert steps(goal) == expected


def test_values_to_read_become_a_schema() -> None:
    ((kind, params),) = steps("get the order number and the total")
    assert kind == "extract"
    assert params["schema"]["required"] == ["order_number", "total"]


@pytest.mark.parametrize(
    "goal",
    [
        "Take care of my invoices",
        "Forward the message from Ada to Bob",
        "Don't click Delete",
        "Click Delete if it is there",
        "click Save unless there is an error",
        "click the cheapest flight",
        "select the best option",
        "check that everything is fine",
        "check whether the order has arrived",
        "click either Yes or No",
        "find a nice hotel in Vienna",
        "get the latest order",
        "type hello",
        "click 'OK' and be happy; sing a song",
        "upload my passport",
        "Ada wants a refund",
        "",
    ],
)
def test_it_refuses_rather_than_guesses(goal: str) -> None:
    with pytest.raises(TaskFailure) as caught:
        steps(goal)
    assert caught.value.reason == Reason.NOT_UNDERSTOOD


def test_the_refused_clause_is_named() -> None:
    with pytest.raises(TaskFailure, match='"sing a song"'):
        steps("click OK; sing a song")


def test_a_login_needs_a_credential() -> None:
    with pytest.raises(TaskFailure) as caught:
        steps("log in", credential=False)
    assert caught.value.reason == Reason.NO_CREDENTIAL


async def test_setting_a_list_is_a_choice() -> None:
    country = Element(
        ref="f0e0", role="combobox", name="Country", tag="select", options=("Austria",)
    )

    async def look() -> Snapshot:
        return Snapshot("http://x", "x", [country])

    planner = RulePlanner()
    goal = Goal("set Country to Austria")
    step = await planner.next(goal, look, [])
    assert step is not None
    assert dump(step) == {**words("Country"), "options": ["Austria"]}
    assert await planner.next(goal, look, [object()]) is None  # type: ignore[list-item]
