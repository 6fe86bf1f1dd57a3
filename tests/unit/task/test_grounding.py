"""Grounding: which element words mean, and when that cannot be said."""

from __future__ import annotations

from typing import Any

import pytest

from services.task.domain import Reason, TaskFailure
from services.task.grounding import Purpose, ground, likeness
from services.task.schema import Target
from services.task.snapshot import Element


def page(*elements: tuple[str, str] | dict[str, Any]) -> list[Element]:
    made = [e if isinstance(e, dict) else {"role": e[0], "name": e[1]} for e in elements]
    described: list[dict[str, Any]] = [{"name": "", **e} for e in made]
    return [Element(ref=f"f0e{i}", **e) for i, e in enumerate(described)]


def found(
    words: str, elements: list[Element], purpose: Purpose = Purpose.POINT, **more: Any
) -> int:
    target = Target(words=words or None, **more)
    return int(ground(target, elements, purpose).element.ref[3:])


def test_name_before_label_before_placeholder_before_text() -> None:
    everywhere = page(
        {"role": "text", "text": "Code"},
        {"role": "textbox", "placeholder": "Code"},
        {"role": "textbox", "label": "Code"},
        ("textbox", "Code"),
    )
    order = []
    while everywhere:
        best = ground(Target(words="Code"), everywhere, Purpose.POINT).element
        order.append(best.ref)
        everywhere.remove(best)
    assert order == ["f0e3", "f0e2", "f0e1", "f0e0"]


@pytest.mark.parametrize(
    ("words", "index"),
    [
        ("Save", 0),
        ("save", 0),
        ("Save!", 0),
        ("the Save button", 0),
        ("Save draft", 1),
        ("draft", 1),
    ],
)
def test_the_closest_name_wins(words: str, index: int) -> None:
    assert found(words, page(("button", "Save"), ("button", "Save draft"))) == index


def test_a_purpose_narrows_what_can_be_meant() -> None:
    listed = {"role": "combobox", "name": "Country", "tag": "select"}
    elements = page(("heading", "Country"), listed, ("textbox", "Country code"))
    assert found("Country", elements, Purpose.CHOOSE) == 1
    assert found("Country", elements, Purpose.TYPE) == 2
    with pytest.raises(TaskFailure):
        found("Country", elements, Purpose.TOGGLE)


def test_equals_are_never_guessed_but_may_be_counted() -> None:
    elements = page(("button", "Edit"), ("link", "Other"), ("button", "Edit"))
    with pytest.raises(TaskFailure) as caught:
        found("Edit", elements)
    assert caught.value.reason == Reason.TARGET_AMBIGUOUS
    assert found("Edit", elements, nth=2) == 2
    assert found("Edit", elements, nth=-1) == 2
    with pytest.raises(TaskFailure, match="only 2"):
        found("Edit", elements, nth=3)


def test_every_field_given_must_fit() -> None:
    elements = page(("link", "Sign in"), ("button", "Sign in"))
    assert found("", elements, role="button", name="Sign in") == 1
    with pytest.raises(TaskFailure):
        found("", elements, role="tab", name="Sign in")


def test_a_far_off_name_is_refused_with_the_nearest() -> None:
    elements = page(("button", "Delete account"), ("button", "Save"))
    with pytest.raises(TaskFailure) as caught:
        found("Delete order", elements)
    assert 'button "Delete account"' in caught.value.message
    assert 'button "Save"' not in caught.value.message


def test_likeness_falls_with_distance() -> None:
    closer_first = ["Sign in", "SIGN IN", "Sign-in", "Sign in now", "Sign me up", "Register"]
    scores = [likeness("Sign in", name) for name in closer_first]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1.0
    assert scores[-1] == 0.0
