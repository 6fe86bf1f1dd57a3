"""Reading tables, lists and labelled values off real pages."""

from __future__ import annotations

from typing import Any

import pytest

from services.task import actions
from services.task.domain import Reason, TaskFailure
from tests.support.sites.office import Office
from tests.support.sites.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")
ORDER = {
    "type": "object",
    "properties": {
        "order_number": {"type": "integer"},
        "customer": {"type": "string"},
        "order_date": {"type": "string"},
        "total": {"type": "number"},
        "paid": {"type": "boolean"},
        "link": {"type": "string", "format": "uri"},
    },
    "required": ["order_number", "customer", "total"],
}


async def read(browser: Stage, site: Office, page: str, **params: Any) -> Any:
    scene = await browser.scene()
    await scene.page.goto(f"{site.url}/page/{page}")
    try:
        action = actions.parse({"kind": "extract", **params}, "extract")
        return await actions.perform(action, scene)
    finally:
        await scene.page.close()


def things(of: dict[str, Any], name: str = "orders") -> dict[str, Any]:
    listed = {"type": "array", "items": of}
    return {"type": "object", "properties": {name: listed}, "required": [name]}


async def test_a_table_with_typed_cells(browser: Stage, site: Office) -> None:
    data = await read(browser, site, "orders", schema=things(ORDER))
    assert data["orders"][0] == {
        "order_number": 1001,
        "customer": "Ada Lovelace",
        "order_date": "2026-01-15",
        "total": 1234.5,
        "paid": True,
        "link": f"{site.url}/page/cards?o=1001",
    }
    assert [o["total"] for o in data["orders"]] == [1234.5, 99, 7.25]
    assert [o["paid"] for o in data["orders"]] == [True, False, True]


async def test_an_array_at_the_top_and_the_right_table(browser: Stage, site: Office) -> None:
    staff = {"type": "object", "properties": {"name": {}, "phone": {"type": "string"}}}
    data = await read(browser, site, "orders", schema={"type": "array", "items": staff})
    assert data == [{"name": "Dora", "phone": "123"}]
    column = things({"type": "string"}, "customer")
    data = await read(browser, site, "orders", schema=column)
    assert data == {"customer": ["Ada Lovelace", "Bob Stone", "Cleo Park"]}


async def test_cards(browser: Stage, site: Office) -> None:
    product = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "price": {"type": "number"},
            "stock": {"type": "integer"},
            "url": {"type": "string"},
        },
        "required": ["name", "price", "stock", "url"],
    }
    data = await read(browser, site, "cards", schema=things(product, "products"))
    assert data["products"] == [
        {"name": "Lamp", "price": 1299, "stock": 12, "url": f"{site.url}/p/lamp"},
        {"name": "Chair", "price": 45.5, "stock": 0, "url": f"{site.url}/p/chair"},
    ]


async def test_a_plain_list(browser: Stage, site: Office) -> None:
    data = await read(browser, site, "cards", schema=things({"type": "string"}, "colours"))
    assert data == {"colours": ["Red", "Green"]}


async def test_labelled_values(browser: Stage, site: Office) -> None:
    wanted = {
        "type": "object",
        "properties": {
            "invoiceNumber": {"type": "string"},
            "due_date": {"type": "string"},
            "total": {"type": "number"},
            "status": {"enum": ["open", "closed"], "type": "string"},
            "discount": {"type": "number"},
            "vat_rate": {"type": "integer"},
            "paid": {"type": "boolean"},
            "contact": {"type": "string"},
            "currency": {"type": "string"},
            "reference": {"type": ["string", "null"]},
        },
        "required": ["invoiceNumber", "total"],
    }
    assert await read(browser, site, "fields", schema=wanted) == {
        "invoiceNumber": "INV-77", "due_date": "31 March 2026", "total": 2410, "status": "open",
        "discount": -12.5, "vat_rate": 20, "paid": False, "contact": "ada@example.com",
        "currency": "USD", "reference": None,
    }  # fmt: skip


async def test_what_is_missing_is_named(browser: Stage, site: Office) -> None:
    wanted = {"type": "object", "properties": {"iban": {"type": "string"}}, "required": ["iban"]}
    with pytest.raises(TaskFailure) as caught:
        await read(browser, site, "fields", schema=wanted)
    assert caught.value.reason == Reason.NOTHING_TO_EXTRACT
    assert '"iban"' in caught.value.message
    assert "Invoice number" in caught.value.message
    order = {**ORDER, "required": ["order_number", "weight"],
             "properties": {**ORDER["properties"], "weight": {"type": "number"}}}  # fmt: skip
    with pytest.raises(TaskFailure, match='"weight" of each item'):
        await read(browser, site, "orders", schema=things(order))


async def test_a_value_of_the_wrong_type_is_named(browser: Stage, site: Office) -> None:
    wanted = things({"type": "object", "properties": {"customer": {"type": "number"}}})
    with pytest.raises(TaskFailure, match=r'0.customer cannot be read: "Ada Lovelace"'):
        await read(browser, site, "orders", schema=wanted)
    wanted = {"type": "object", "properties": {"total": {"type": "number", "maximum": 5}}}
    with pytest.raises(TaskFailure, match="does not fit the schema: total"):
        await read(browser, site, "fields", schema=wanted)


async def test_an_instruction_without_a_schema(browser: Stage, site: Office) -> None:
    data = await read(browser, site, "orders", instruction="the open orders table")
    assert data[1]["customer"] == "Bob Stone"
    data = await read(browser, site, "orders", instruction="the staff table")
    assert data == [{"name": "Dora", "phone": "123"}]
    assert await read(browser, site, "fields", instruction="due date") == {
        "Due date": "31 March 2026"
    }
    with pytest.raises(TaskFailure, match="nothing that is called"):
        await read(browser, site, "fields", instruction="the weather")
    whole = await read(browser, site, "fields")
    assert whole["fields"]["Invoice number"] == "INV-77"
