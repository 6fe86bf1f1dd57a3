import click
import pytest

from gateway.cli import parameters

SCHEMA = {
    "properties": {
        "month": {"type": "string"},
        "count": {"type": "integer"},
        "tags": {"type": "array"},
    }
}


def test_a_value_takes_the_type_the_workflow_declares():
    pairs = ("month=2026", "count=3", 'tags=["a"]')
    assert parameters.parse(pairs, None, SCHEMA) == {"month": "2026", "count": 3, "tags": ["a"]}


def test_an_undeclared_value_is_json_when_it_reads_as_json():
    pairs = ("a=1", "b=true", "c=plain words", "d=")
    assert parameters.parse(pairs, None, None) == {"a": 1, "b": True, "c": "plain words", "d": ""}


def test_a_value_may_hold_an_equals_sign():
    assert parameters.parse(("url=http://x/?a=b",), None, SCHEMA) == {"url": "http://x/?a=b"}


def test_a_value_of_another_type_is_refused_by_name():
    with pytest.raises(click.UsageError, match=r"-p count: 'many' is not JSON of type integer"):
        parameters.parse(("count=many",), None, SCHEMA)


@pytest.mark.parametrize("pair", ["month", "=x"])
def test_a_pair_without_a_name_or_value_is_refused(pair):
    with pytest.raises(click.UsageError, match="name=value"):
        parameters.parse((pair,), None, None)


def test_pairs_win_over_the_file(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("month: 2026-08\ncount: 1\n")
    found = parameters.parse(("count=2",), file, SCHEMA)
    assert found["count"] == 2


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    file = tmp_path / "p.json"
    file.write_text("[1]")
    with pytest.raises(click.UsageError, match="mapping"):
        parameters.parse((), file, None)


def test_labels_are_pairs():
    assert parameters.labels(("team=a", "x=y=z")) == {"team": "a", "x": "y=z"}
    with pytest.raises(click.UsageError):
        parameters.labels(("team",))
