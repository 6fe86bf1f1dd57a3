"""Every mistake in a document is told with its place and why."""

from __future__ import annotations

import json

import jsonschema
import pytest

from libs import errors
from services.workflow import document
from services.workflow.blocks import BLOCKS


def block(label="a", kind: object = "goto_url", params=None, **more):
    params = {"url": "https://x.test"} if params is None else params
    return {"label": label, "kind": kind, "params": params, **more}


def doc(*blocks, **more):
    return {"name": "test", "blocks": list(blocks) or [block()], **more}


def loop(*blocks, items=(1,), **more):
    params = {"items": list(items) if isinstance(items, tuple) else items, "blocks": list(blocks)}
    return block("l", "for_loop", params | more)


def when(condition, *then, **more):
    return block("c", "conditional", {"if": condition, "then": list(then) or [block()]} | more)


def wrong_in(value) -> list[tuple[str, str]]:
    with pytest.raises(errors.Invalid) as refused:
        document.from_value(value)
    return refused.value.violations


def nested(depth):
    inner = [block()]
    for _ in range(depth):
        inner = [loop(*inner)]
    return inner


MONTH = {"key": "month"}
# Each: the document, the path of its mistake, and what is said of it.
BAD = [
    ([], "document", "must be a mapping with name and blocks"),
    ({"blocks": [block()]}, "name", "is required"),
    (doc(name="Not A Slug"), "name", "lower-case letters"),
    (doc(name="a" * 101), "name", "at most 100"),
    (doc(name=7), "name", "must be a text"),
    ({"name": "x"}, "blocks", "is required"),
    ({"name": "x", "blocks": []}, "blocks", "must not be empty"),
    ({"name": "x", "blocks": {}}, "blocks", "must be a list"),
    (doc(titel="x"), "titel", "did you mean 'title'?"),
    (doc(title="x" * 201), "title", "at most 200 characters"),
    (doc("not a block"), "blocks[0]", "must be a mapping with label and kind"),
    (doc({"kind": "wait"}), "blocks[0].label", "is required"),
    (doc({"label": "a"}), "blocks[0].kind", "is required"),
    (doc(block("1a")), "blocks[0].label", "not beginning with a digit"),
    (doc(block("a.b")), "blocks[0].label", "letters, digits and _"),
    (doc(block(), block()), "blocks[1].label", "'a' is there twice"),
    (doc(block(kind="goto_ur")), "blocks[0].kind", "did you mean 'goto_url'?"),
    (doc(block(kind=3)), "blocks[0].kind", "must be a text"),
    (doc(block(params=[])), "blocks[0].params", "must be a mapping"),
    (doc(block(params={})), "blocks[0].params.url", "is required"),
    (doc(block(params={"url": "ftp://x"})), "blocks[0].params.url", "http:// or https://"),
    (doc(block(params={"url": 3})), "blocks[0].params.url", "must be a text"),
    (doc(block(retries=-1)), "blocks[0].retries", "must be at least 0"),
    (doc(block(retries=11)), "blocks[0].retries", "must be at most 10"),
    (doc(block(retries=1.5)), "blocks[0].retries", "must be a whole number"),
    (doc(block(timeout_s=0)), "blocks[0].timeout_s", "must be greater than 0"),
    (doc(block(timeout_s="1")), "blocks[0].timeout_s", "must be a number"),
    (doc(block(on_error="ignore")), "blocks[0].on_error", "'fail' or 'continue'"),
    (doc(block(resume="maybe")), "blocks[0].resume", "'safe', 'restart' or 'fail'"),
    (doc(block(retry=1)), "blocks[0].retry", "did you mean 'retries'?"),
    (doc(block(when="")), "blocks[0].when", "must not be empty"),
    (doc(block(when="a b")), "blocks[0].when", "expected token"),
    (doc(block(when="x {{ 1 }}")), "blocks[0].when", "must be one expression"),
    (doc(block(when="parameters.n")), "blocks[0].when", "unknown parameter 'n'"),
    (doc(block(when="blocks.a.output")), "blocks[0].when", "which is this block itself"),
    (
        doc(
            block(params={"url": "https://x/{{ parameters.mont }}"}), parameters=[{"key": "month"}]
        ),
        "blocks[0].params.url",
        "unknown parameter 'mont'; did you mean 'month'?",
    ),
    (
        doc(block(params={"url": "https://x/{{ blocks.b.output }}"}), block("b")),
        "blocks[0].params.url",
        "block 'a': refers to the block 'b', which comes later",
    ),
    (
        doc(block(params={"url": "https://x/{{ blocks.zz.output }}"})),
        "blocks[0].params.url",
        "unknown block 'zz'",
    ),
    (
        doc(block(), block("b", params={"url": "https://x/{{ blocks.a.outptu }}"})),
        "blocks[1].params.url",
        "did you mean 'output'?",
    ),
    (doc(block(params={"url": "https://x/{{ item }}"})), "blocks[0].params.url", "name 'item'"),
    (doc(block(params={"url": "https://{{ 'x }}"})), "blocks[0].params.url", "unexpected char"),
    (doc(block(params={"url": "https://{{ f() }}"})), "blocks[0].params.url", "not allowed"),
    (doc(output={"x": "{{ blocks.q.output }}"}), "output.x", "unknown block 'q'"),
    (doc(output=[1]), "output", "must be a mapping"),
    (doc(loop(block(params={"url": "x"}))), "blocks[0].params.blocks[0].params.url", "block 'a'"),
    (doc(loop(items="{{ nothing }}")), "blocks[0].params.items", "unknown name 'nothing'"),
    (doc(loop(items="text")), "blocks[0].params.items", "must be a list"),
    (doc(loop()), "blocks[0].params.blocks", "must not be empty"),
    (doc(loop(block(), item_name="blocks")), "blocks[0].params.item_name", "must not be 'blocks'"),
    (doc(loop(block(), item_name="A b")), "blocks[0].params.item_name", "lower-case"),
    (doc({**loop(block()), "retries": 1}), "blocks[0].retries", "a for_loop is not retried"),
    (doc({**loop(block()), "resume": "fail"}), "blocks[0].resume", "always goes on"),
    (
        doc(loop(block()), block("b", params={"url": "https://x/{{ blocks.a.output }}"})),
        "blocks[1].params.url",
        "unknown block 'a'",
    ),
    (doc(*nested(7)), "blocks[0]" + ".params.blocks[0]" * 5 + ".params.blocks", "6 levels"),
    (doc(when("parameters.x")), "blocks[0].params.if", "unknown parameter 'x'"),
    (
        doc(when("1", elif_=[])),
        "blocks[0].params.elif_",
        "did you mean 'elif'?",
    ),
    (
        doc(when("1", **{"elif": [{"if": "foo", "then": [block()]}]})),
        "blocks[0].params.elif[0].if",
        "unknown name 'foo'",
    ),
    (
        doc(when("1", **{"else": [block(kind="x")]})),
        "blocks[0].params.else[0].kind",
        "'x' is not a kind of block",
    ),
    (doc(parameters=["month"]), "parameters[0]", "must be a mapping"),
    (doc(parameters=[{"key": "a b"}]), "parameters[0].key", "letters, digits"),
    (doc(parameters=[{"key": "a"}, {"key": "a"}]), "parameters[1].key", "'a' is there twice"),
    (doc(parameters=[{"key": "a", "type": "date"}]), "parameters[0].type", "must be one of"),
    (
        doc(parameters=[{"key": "a", "type": "integer", "default": "1"}]),
        "parameters[0].default",
        "must be a whole number, not a text",
    ),
    (
        doc(parameters=[{"key": "a", "enum": ["x"], "default": "y"}]),
        "parameters[0].default",
        "must be one of 'x'",
    ),
    (doc(block("e", "extraction", {})), "blocks[0].params", "an instruction or a schema"),
    (doc(block("e", "action", {})), "blocks[0].params", "either actions or a goal"),
    (
        doc(block("e", "action", {"actions": [{"target": "x"}]})),
        "blocks[0].params.actions[0]",
        "needs a kind",
    ),
    (doc(block("e", "login", {})), "blocks[0].params.credential_id", "is required"),
    (doc(block("e", "file_download", {})), "blocks[0].params", "exactly one of"),
    (doc(block("e", "task", {})), "blocks[0].params", "at least one of"),
    (doc(block("e", "wait", {})), "blocks[0].params", "either seconds or until"),
    (doc(block("e", "wait", {"seconds": -1})), "blocks[0].params.seconds", "at least 0"),
    (doc(block("e", "wait", {"until": "soon"})), "blocks[0].params.until", "must be a moment"),
    (doc(block("e", "wait", {"until": "2026-01-01T00:00:00"})), "blocks[0].params.until", "zone"),
    (
        doc(block("e", "http_request", {"url": "http://x", "json": 1, "body": "x"})),
        "blocks[0].params",
        "at most one of json and body",
    ),
    (
        doc(block("e", "http_request", {"url": "http://x", "headers": {"Host": "y"}})),
        "blocks[0].params.headers.Host",
        "cannot be set",
    ),
    (
        doc(block("e", "http_request", {"url": "http://x", "headers": {"A": "b\r\nC: d"}})),
        "blocks[0].params.headers.A",
        "must be one line",
    ),
    (
        doc(block("e", "http_request", {"url": "http://x", "expect_status": [99]})),
        "blocks[0].params.expect_status[0]",
        "must be at least 100",
    ),
    (doc(*[block(f"b{n}") for n in range(201)]), "blocks", "at most 200 entries"),
    (doc(title="\ud800"), "document", "not valid Unicode"),
    (doc(title="a\0b"), "document", "NUL"),
    (doc(output={"n": 2**60}), "document", "write it as text"),
]


@pytest.mark.parametrize(("value", "path", "why"), BAD)
def test_a_mistake_is_told_with_its_place(value, path, why):
    found = wrong_in(value)
    assert any(place == path and why in said for place, said in found), found


def test_all_mistakes_are_told_at_once():
    found = wrong_in(doc(block(params={"url": 1}), block("b", "nope"), parameters=[{"key": ""}]))
    assert [place for place, _ in found] == [
        "parameters[0].key",
        "blocks[0].params.url",
        "blocks[1].kind",
    ]


def test_a_value_nested_deeper_than_64_levels_is_refused():
    value = deep = {}
    for _ in range(70):
        deep["x"] = deep = {}
    assert wrong_in(value) == [("document", "is nested deeper than 64 levels")]


def test_more_than_500_blocks_are_refused():
    lots = [loop(*[block(f"x{m}") for m in range(150)]) | {"label": f"l{n}"} for n in range(4)]
    assert any("more than 500 blocks" in why for _, why in wrong_in(doc(*lots)))


def test_a_good_document_becomes_a_definition():
    definition = document.from_value(
        doc(
            block("read", "extraction", {"schema": {"type": "array"}}),
            loop(
                when("item.total > 10", block("open", params={"url": "https://x/{{ item.id }}"})),
                block("keep", "screenshot", {"name": "{{ index }}", "full_page": "{{ item.x }}"}),
                items="{{ blocks.read.output }}",
            ),
            parameters=[{"key": "month", "default": "x"}, {"key": "login", "type": "credential"}],
            output={"n": "{{ blocks.l.output | length }}", "m": "{{ parameters.month }}"},
        )
    )
    assert [step.label for step in definition.steps] == ["read", "l"]
    inner = definition.steps[1].branches["blocks"]
    assert [step.label for step in inner] == ["c", "keep"]
    assert [step.label for step in inner[0].branches["then"]] == ["open"]
    assert definition.needs_browser
    assert definition.title == "test"


def test_a_loop_inside_a_condition_needs_the_page_its_blocks_need():
    quiet = block("w", "wait", {"seconds": 1})
    assert not document.from_value(doc(when("1", loop(quiet)))).needs_browser
    assert document.from_value(doc(when("1", loop(quiet, block())))).needs_browser


def test_text_gives_lines():
    text = "name: x\nblocks:\n  - label: a\n    kind: wait\n    params:\n      sec: 1\n"
    with pytest.raises(errors.Invalid) as refused:
        document.from_text(text)
    places = dict(refused.value.violations)
    assert "(line 6)" in places["blocks[0].params.sec"]


def test_json_text_gives_lines_too():
    text = json.dumps(doc(block(kind="nope")), indent="\t")
    with pytest.raises(errors.Invalid) as refused:
        document.from_text(text)
    line = text.splitlines().index('\t\t\t"kind": "nope",') + 1
    assert f"(line {line})" in refused.value.violations[0][1]


def test_the_schema_accepts_what_we_accept_and_refuses_what_we_refuse():
    schema = document.json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    good = doc(loop(when("1", block()), items="{{ parameters.x }}"), parameters=[{"key": "x"}])
    validator.validate(good)
    for bad in (doc(block(kind="nope")), doc(loop(block(params={}))), doc(titel="x")):
        assert not validator.is_valid(bad)


def test_every_kind_of_block_has_a_file_and_a_line():
    from pathlib import Path

    folder = Path(document.__file__).parent / "blocks"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "contract"}
    assert files == set(BLOCKS)
    assert all(kind == known.kind and known.summary for kind, known in BLOCKS.items())
