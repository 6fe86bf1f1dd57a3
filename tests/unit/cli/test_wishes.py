"""What is said of a run's session on the command line becomes what the API takes."""

from __future__ import annotations

import io
from typing import Any

import click
import pytest

from gateway.cli import wishes
from libs.wire import as_dict

NOTHING: dict[str, Any] = {
    "profile": "",
    "save_profile": False,
    "reuse": "",
    "locale": "",
    "time_zone": "",
    "session_options": None,
}


def of_run(**said: Any) -> dict[str, Any] | None:
    wish = wishes.of_run(NOTHING | said)
    return None if wish is None else as_dict(wish)


def test_who_says_nothing_asks_for_nothing() -> None:
    assert of_run() is None
    assert of_run(reuse="new") is None


def test_words_stand_over_the_file() -> None:
    file = io.StringIO('{"locale": "fr-CH", "user_agent": "Acme/1.0"}')
    assert of_run(session_options=file, locale="de-CH", profile="bp_1", save_profile=True) == {
        "options": {
            "locale": "de-CH",
            "user_agent": "Acme/1.0",
            "profile": {"browser_profile_id": "bp_1", "save": True},
        }
    }


@pytest.mark.parametrize(
    ("word", "reuse"),
    [
        ("workflow", {"mode": "REUSE_MODE_PER_WORKFLOW"}),
        ("key:shop", {"mode": "REUSE_MODE_PER_KEY", "key": "shop"}),
    ],
)
def test_whose_session_it_goes_on_in(word: str, reuse: dict[str, str]) -> None:
    assert of_run(reuse=word) == {"reuse": reuse}


def test_what_makes_no_sense_is_said() -> None:
    with pytest.raises(click.UsageError, match="--reuse"):
        of_run(reuse="shop")
    with pytest.raises(click.UsageError, match="--session-options"):
        of_run(session_options=io.StringIO('{"viewport": 7}'))
