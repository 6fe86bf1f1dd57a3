"""The parser against the corpus: 400 messages, 70 languages, 110 without a code.

A wrong code is worse than none: a person can still be asked.
"""

from pathlib import Path

import pytest
import yaml

from services.totp.message import Verdict, read

CORPUS = yaml.safe_load(Path(__file__).with_name("corpus.yaml").read_text("utf-8"))


@pytest.mark.parametrize("message", CORPUS, ids=lambda one: f"{one['lang']}: {one['why']}")
def test_what_a_person_would_type(message: dict[str, str]) -> None:
    reading = read(message["text"])
    assert reading.code == (message["code"] or "")
    assert (reading.verdict is Verdict.FOUND) == (message["code"] is not None)


def test_the_corpus_is_broad() -> None:
    assert len(CORPUS) >= 400
    assert len({one["lang"] for one in CORPUS}) >= 60
    assert sum(one["code"] is None for one in CORPUS) >= 110
