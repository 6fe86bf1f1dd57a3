"""Definition text is read within limits, and only as JSON types."""

from __future__ import annotations

import pytest

from services.workflow import source


def test_only_json_types_come_out():
    text = """
    a: 2026-05-01
    b: yes
    c: on
    d: true
    e: 0123
    f: 1.50
    g: 12345678901234567890
    h: ~
    i: "7"
    j: .inf
    k: 0x1F
    l: |
      two
      lines
    """
    assert source.parse(text).value == {
        "a": "2026-05-01",
        "b": "yes",
        "c": "on",
        "d": True,
        "e": "0123",
        "f": 1.5,
        "g": "12345678901234567890",
        "h": None,
        "i": "7",
        "j": ".inf",
        "k": "0x1F",
        "l": "two\nlines\n",
    }


def test_json_is_read_as_json():
    text = '{"emoji": "\\ud83d\\ude00", "slash": "\\/", "n": 1e2,\t"deep": {"x": [1]}}'
    parsed = source.parse(text)
    assert parsed.value == {"emoji": "😀", "slash": "/", "n": 100.0, "deep": {"x": [1]}}


def test_anchors_may_be_used():
    assert source.parse("a: &x [1, 2]\nb: *x\n").value == {"a": [1, 2], "b": [1, 2]}


def bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("a: 1\na: 2\n", "line 2: 'a' is there twice"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ("a: [1\n", "line 2, column 1"),
        ('{"a": 1,}x', "line 1"),
        ("a: &x 1\n---\nb: 2\n", "more than one document"),
        ("a: !!python/object/apply:os.system ['id']\n", "tags such as"),
        ("a: !custom 1\n", "tags such as"),
        ("? [1, 2]\n: x\n", "must be texts"),
        ("<<: {a: 1}\n", "merge keys are not allowed"),
        ("a: *nothing\n", "no anchor 'nothing'"),
        ("a: &a [*a]\n", "no anchor 'a'"),
        (bomb(), "more than 100000 values"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ("[" * 100_000, "nested deeper than 64"),
        ("".join(" " * n + "x:\n" for n in range(70)), "nested deeper than 64"),
        ("a: " + "x" * source.MAX_BYTES, "is larger than 1048576 bytes"),
        ('{"a": NaN}', "NaN is not a number JSON knows"),
        ('{"a": 1e999}', "not finite"),
        ('{"a": 123456789012345678901234567890}', "write it as text"),
        ('{"a": "\\ud800"}', "not valid Unicode"),
        ("a: \x07\n", "unacceptable"),
        ("- " * 200_000, "deeper than 64"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(text, why):
    with pytest.raises(source.SourceError, match=why.replace("[", r"\[")) as refused:
        source.parse(text)
    assert len(str(refused.value)) < 400
