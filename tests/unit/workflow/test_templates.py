"""Templates give values of the right type, and nothing else: no escape, no bomb."""

from __future__ import annotations

import time

import pytest

from services.workflow import bounds, templates
from services.workflow.templates import Scope, TemplateError

VALUES = {
    "parameters": {"month": "2026-05", "n": 3, "items": [1, 2], "flag": True, "none": None},
    "blocks": {
        "read": {"output": [{"id": 7, "keys": "k", "__class__": "c"}], "state": "completed"}
    },
    "run": {"run_id": "run_1"},
    "item": {"name": "Ann", "price": 2.5},
    "index": 0,
    "big": "x" * 60_000,
    "long": list(range(1000)),
    "longer": list(range(1001)),
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("plain", "plain"),
        ("{{ parameters.month }}", "2026-05"),
        ("  {{ parameters.n }}\n", 3),
        ("{{ parameters['items'] }}", [1, 2]),
        ("{{ parameters.items }}", [1, 2]),
        ("{{ parameters.flag }}", True),
        ("{{ parameters.none }}", None),
        ("{{ blocks.read.output }}", [{"id": 7, "keys": "k", "__class__": "c"}]),
        ("{{ blocks.read.output[0].keys }}", "k"),
        ("{{ blocks.read.output[-1].id + 1 }}", 8),
        ("{{ item.price * 2 }}", 5.0),
        ("n={{ parameters.n }} {{ parameters.items }} {{ parameters.flag }}", "n=3 [1, 2] true"),
        ("[{{ parameters.none }}]", "[]"),
        ("{{ item.name ~ '-' ~ index }}", "Ann-0"),
        ("{{ parameters.month.missing | default('x') }}", "x"),
        ("{{ parameters.none | default('x') }}", "x"),
        ("{{ 'yes' if parameters.n > 2 else 'no' }}", "yes"),
        ("{{ parameters.n in [1, 3] }}", True),
        ("{{ parameters.month is startingwith '2026' }}", True),
        ("{{ parameters.month | replace('-', '/') | upper }}", "2026/05"),
        ("{{ 'a,b' | split(',') }}", ["a", "b"]),
        ("{{ [3, 1, 2] | sort | join('-') }}", "1-2-3"),
        ("{{ [3, 1, 2] | sort(reverse=true) | first }}", 3),
        ("{{ blocks.read.output | pluck('id') | sum }}", 7),
        ("{{ {'a': 1} | items }}", [["a", 1]]),
        ("{{ 'ab' | length }}", 2),
        ("{{ '42' | int }}", 42),
        ("{{ 2.567 | round(1) }}", 2.6),
        ("{{ 'a b&c' | urlencode }}", "a%20b%26c"),
        ("{{ [1, 2, 3][1:] }}", [2, 3]),
        ("{{ {'a': [1]} | tojson }}", '{"a": [1]}'),
        ("{% for i in parameters['items'] %}{{ loop.index }}:{{ i }} {% endfor %}", "1:1 2:2 "),
        ("{% if parameters.flag %}on{% else %}off{% endif %}", "on"),
    ],
)
def test_a_template_gives_its_value(source, value):
    given = templates.render(source, VALUES)
    assert given == value
    assert type(given) is type(value)


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ [].__class__.__base__ }}",
    "{{ parameters.__class__ }}",
    "{{ parameters.get }}",
    "{{ parameters.items.append }}",
    "{{ (1).real }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner }}",
    "{{ namespace() }}",
    "{{ lipsum.__globals__ }}",
    "{{ dict }}",
    "{{ range(3) }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ ''|attr('__class__') }}",
    "{{ 'a%s'|format('b') }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ ''.format }}",
    "{{ 'x'.join(['a']) }}",
    "{{ parameters|map('upper')|list }}",
    "{{ parameters['items']|selectattr('x') }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ 'x'|indent(1000000000) }}",
    "{{ 'x'|wordwrap(1) }}",
    "{{ [1]|random }}",
    "{{ parameters|pprint }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%s' % 'x' }}",
    "{% for i in range(9) %}{% endfor %}",
    "{% set x = 1 %}{{ x }}",
    "{% set x %}a{% endset %}",
    "{% macro m() %}{% endmacro %}",
    "{% call f() %}{% endcall %}",
    "{% filter upper %}a{% endfilter %}",
    "{% with a = 1 %}{% endwith %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
    "{% block b %}{% endblock %}",
    "{% for i in [1] recursive %}{{ loop([2]) }}{% endfor %}",
    "{% for i in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for i in [1] %}{{ loop.cycle }}{% endfor %}",
    "{% for i in [1] %}{{ loop }}{% endfor %}",
    "{{ loop.index }}",
    "{{ caller }}",
    "{{ varargs }}",
    "{{ _ }}",
    "{{ blocks.read.output[0].__init__ }}",
]
BOMBS = [
    "{{ 'x' * 1000000000 }}",
    "{{ 1000000000 * 'x' }}",
    "{{ [1] * 1000000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 9999999 ** 64 }}",
    "{{ (10 ** 18) * (10 ** 18) }}",
    "{{ 1e308 * 10 }}",
    "{{ big + big }}",
    "{{ big ~ big }}",
    "{{ (big ~ 'y') ~ (big ~ 'y') }}",
    "{{ big }}{{ big }}",
    "{{ big | replace('x', big) }}",
    "{{ big | replace('', 'y') }}",
    "{{ long | join(big) }}",
    "{{ longer | sum }}",
    "{{ long + long }}",
    "{{ (long + [1]) | length }}",
    "{% for i in longer %}{% endfor %}",
    "{% for i in long %}{{ big }}{% endfor %}",
    "{% for i in long %}{% for j in long %}{% endfor %}{% endfor %}",
    "{% for i in long %}{% for j in long %}{% for k in long %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in long %}{{ long | sort | reverse | unique | join | length }}{% endfor %}",
    "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
    "{{ " + "-" * 4000 + "1 }}",
    "{{ " + "[" * 500 + "]" * 500 + " }}",
    "{{ " + "not " * 1500 + "1 }}",
    "{{ a" + ".a" * 3000 + " }}",
    "{% if 1 %}" * 600 + "{% endif %}" * 600,
    "{% for i in [1] %}" * 25 + "{% endfor %}" * 25,
    "x" * 8193 + "{{ 1 }}",
    "{{ 1 / 0 }}",
    "{{ 1 // 0 }}",
    "{{ 5 % 0 }}",
    "{{ 'a' - 1 }}",
    "{{ 'a' < 1 }}",
    "{{ nothing }}",
    "{{ nothing.x }}",
    "{{ [nothing] }}",
    "{{ parameters.nothing }}",
    "{{ {nothing: 1} }}",
    "{{ 10 | round(400) }}",
    "{{ ('9' * 1) | int * 99999999999 * 99999999999 }}",
]


@pytest.mark.parametrize("source", ESCAPES + BOMBS)
def test_an_attack_ends_soon_and_gives_nothing(source):
    begun = time.monotonic()
    with pytest.raises(TemplateError) as refused:
        given = templates.render(source, VALUES)
        # `{{ self }}` and the like may be read, but then only as plain values that are not there.
        raise AssertionError(f"gave {given!r:.100}")
    assert time.monotonic() - begun < 1.5
    assert len(str(refused.value)) < 1000


STATEMENTS = ("set", "macro", "call", "filter", "with", "include", "import", "extends", "block")


@pytest.mark.parametrize(
    "source",
    [s for s in ESCAPES if s.startswith(tuple(f"{{% {word}" for word in STATEMENTS))]
    + [s for s in ESCAPES if "()" in s or "|attr" in s or "|map" in s],
)
def test_an_attack_is_refused_when_it_is_saved(source):
    assert templates.check(source, Scope(names=frozenset(VALUES)))


def test_entries_win_over_methods_and_attributes():
    values = {"x": {"items": 1, "keys": 2, "__class__": 3, "get": 4}}
    source = "{{ [x.items, x.keys, x.__class__, x.get] }}"
    assert templates.render(source, values) == [1, 2, 3, 4]


def test_values_are_never_changed_by_a_template():
    values = {"x": {"a": [3, 1]}}
    templates.render("{{ x.a | sort }}{{ x.a | reverse }}", values)
    assert values == {"x": {"a": [3, 1]}}


def test_what_a_value_contains_is_never_run():
    values = {"x": "{{ 7 * 7 }}{% for %}"}
    assert templates.render("{{ x }}", values) == "{{ 7 * 7 }}{% for %}"
    assert templates.render("<{{ x }}>", values) == "<{{ 7 * 7 }}{% for %}>"


def test_a_whole_value_may_be_larger_than_a_text_but_not_without_end():
    values = {"x": "y" * 500_000, "z": ["y" * 500_000] * 3}
    assert templates.render("{{ x }}", values) == values["x"]
    with pytest.raises(TemplateError, match="1048576 bytes"):
        templates.render("{{ z }}", values)


def test_the_time_is_bounded(monkeypatch):
    monkeypatch.setattr(bounds, "RENDER_TIME_S", -1.0)
    with pytest.raises(TemplateError, match="takes longer"):
        templates.render("{% for i in [1] %}{{ i }}{% endfor %}", {})


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("parameters.n > 2", True),
        ("{{ parameters.n > 5 }}", False),
        ("parameters.none", False),
        ("parameters['items']", True),
        ("not parameters.flag", False),
        ("blocks.read.state == 'completed' and parameters.month != ''", True),
    ],
)
def test_conditions_hold_or_do_not(condition, holds):
    assert templates.holds(condition, VALUES) is holds


def test_deep_values_name_the_place_that_failed():
    with pytest.raises(TemplateError, match=r"^json\.a\[1\]\.b: there is no 'zz'"):
        templates.render_deep({"a": [1, {"b": "{{ parameters.zz }}"}]}, VALUES, "json")


def test_mistakes_name_what_is_there():
    with pytest.raises(TemplateError, match=r"no 'totel' \(there is: 'name', 'price'\)"):
        templates.render("{{ item.totel }}", VALUES)
    with pytest.raises(TemplateError, match=r"no entry 5 \(there are 1\)"):
        templates.render("{{ blocks.read.output[5] }}", VALUES)


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("{{ parameters.month }}", []),
        ("{{ parameters[item] }}", []),
        ("{{ blocks.read.output.anything[0].goes }}", []),
        ("{% for row in blocks.read.output %}{{ row.id }}{% endfor %}", []),
        ("{{ run.run_id }}", []),
        ("{{ parameters.moth }}", "unknown parameter 'moth'; did you mean 'month'?"),
        ("{{ parameters['moth'] }}", "unknown parameter 'moth'"),
        ("{{ parameters.month ~ parameters.x }}", "unknown parameter 'x'"),
        ("{{ blocks.later.output }}", "refers to the block 'later', which comes later"),
        ("{{ blocks }}", "must name the block"),
        ("{{ blocks[item] }}", "must name the block"),
        ("{{ run.id }}", "unknown fact of the run 'id'"),
        ("{{ secrets.password }}", "unknown name 'secrets'"),
    ],
)
def test_references_are_checked_when_saved(source, wrong):
    scope = Scope(
        parameters=frozenset({"month"}),
        blocks=frozenset({"read"}),
        names=frozenset({"item"}),
        hidden={"later": "which comes later"},
    )
    found = templates.check(source, scope)
    assert found == [] if not wrong else wrong in "; ".join(found)
