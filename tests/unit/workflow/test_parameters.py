"""The values of a run's parameters are checked one by one, by name."""

from __future__ import annotations

import pytest

from services.workflow.parameters import Parameter, check_values, schema_of

DECLARED = [
    Parameter(key="month"),
    Parameter(key="limit", type="integer", default=10),
    Parameter(key="note", required=False),
    Parameter(key="level", enum=["low", "high"], default="low"),
]


def test_defaults_fill_what_is_left_out():
    values, wrong = check_values(DECLARED, {"month": "2026-05"})
    assert values == {"month": "2026-05", "limit": 10, "note": None, "level": "low"}
    assert wrong == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, [("parameters.month", "is required")]),
        ({"month": None}, [("parameters.month", "must not be null")]),
        ({"month": 5}, [("parameters.month", "must be a text, not a number")]),
        ({"month": []}, [("parameters.month", "must be a text, not a list")]),
        ({"month": "x" * 100_001}, [("parameters.month", "must be at most 100000 characters")]),
        (
            {"month": "x", "limit": 1.5},
            [("parameters.limit", "must be a whole number, not a number")],
        ),
        (
            {"month": "x", "limit": True},
            [("parameters.limit", "must be a whole number, not true or false")],
        ),
        ({"month": "x", "level": "mid"}, [("parameters.level", "must be one of 'low', 'high'")]),
        (
            {"month": "x", "mnth": 1},
            [("parameters.mnth", "is not a parameter; did you mean 'month'?")],
        ),
    ],
)
def test_what_is_wrong_is_named(given, wrong):
    assert check_values(DECLARED, given)[1] == wrong


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "x", 1),
        ("integer", 1, "1"),
        ("number", 1.5, True),
        ("boolean", False, 0),
        ("json", {"a": [1]}, None),
        ("credential", "cred_1", ""),
        ("credential", "shop login", {"password": "x"}),
    ],
)
def test_types_are_taken_at_their_word(kind, good, bad):
    parameter = Parameter(key="x", type=kind)
    assert parameter.wrong(good) is None
    assert parameter.wrong(bad) is not None or kind == "json"


def test_the_schema_is_for_forms():
    assert schema_of(DECLARED) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "month": {"type": "string"},
            "limit": {"type": "integer", "default": 10},
            "note": {"type": "string"},
            "level": {"type": "string", "default": "low", "enum": ["low", "high"]},
        },
        "required": ["month"],
    }
