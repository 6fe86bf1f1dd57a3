"""From words on a page to typed values."""

from __future__ import annotations

from typing import Any

import pytest

from services.task.extract.coerce import Unreadable, coerce
from services.task.extract.rules import Content, Records, Value, extract, likeness


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("1,234.50", 1234.5), ("1.234,50 €", 1234.5), ("€ 99,00", 99), ("$1,299", 1299),
        ("1 234,5", 1234.5), ("12'500.75", 12500.75), ("1.234.567", 1234567), ("0,125", 0.125),
        ("3.141", 3.141), ("-7", -7), ("−7", -7), ("(12.50)", -12.5), ("-$5.00", -5), ("20 %", 20),
        ("USD 15", 15),
    ],
)  # fmt: skip
def test_numbers(words: str, value: float) -> None:
    assert coerce(words, "", {"type": "number"}) == value


@pytest.mark.parametrize("words", ["", "n/a", "10 to 20", "ten", "1.2.3"])
def test_what_is_not_one_number_is_refused(words: str) -> None:
    with pytest.raises(Unreadable):
        coerce(words, "", {"type": "number"})


@pytest.mark.parametrize(
    ("words", "schema", "value"),
    [
        ("12", {"type": "integer"}, 12),
        ("Yes", {"type": "boolean"}, True),
        ("✗", {"type": "boolean"}, False),
        ("31 March 2026", {"type": "string", "format": "date"}, "31 March 2026"),
        ("", {"type": ["number", "null"]}, None),
        ("OPEN", {"enum": ["open", "closed"]}, "open"),
        ("  two\n words ", {"type": "string"}, "two words"),
    ],
)
def test_other_types(words: str, schema: dict[str, Any], value: Any) -> None:
    assert coerce(words, "", schema) == value


@pytest.mark.parametrize(
    ("words", "kind"), [("12.5", "integer"), ("maybe", "boolean"), ("x", "array")]
)
def test_refusals(words: str, kind: str) -> None:
    with pytest.raises(Unreadable):
        coerce(words, "", {"type": kind})


@pytest.mark.parametrize(
    ("name", "key"),
    [("order_number", "Order No."), ("orderNumber", "Order #"), ("qty", "Quantity"),
     ("items", "Item"), ("due_date", "DUE DATE")],
)  # fmt: skip
def test_names_of_properties_and_columns(name: str, key: str) -> None:
    assert likeness(name, key) >= 0.95


def test_two_tables_that_fit_alike_are_not_guessed() -> None:
    def table(said: str, name: str) -> Records:
        return Records(said, [[Value(("Name",), name)]], is_table=True)

    content = Content("http://x", "x", [table("Buyers", "Ada"), table("Sellers", "Bob")], [])
    wanted = {
        "type": "array",
        "items": {"type": "object", "properties": {"name": {"type": "string"}}},
    }
    with pytest.raises(Exception, match="more than one table"):
        extract(wanted, content)
    assert extract(wanted, content, "the sellers") == [{"name": "Bob"}]
