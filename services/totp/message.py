"""Reads the one-time code out of a message, or says that it cannot be sure.

Each candidate is scored by the words around it: how near a word for "code" stands, whether a nearer
word says it is something else (an order, an amount, a phone), and how it is set out. Rules only:
the same message always gives the same answer, and nothing in a message is ever obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from services.totp import mail
from services.totp.candidates import MAX_LENGTH, MIN_LENGTH, bound_code, candidates, may_stand_alone
from services.totp.masks import blanked
from services.totp.scoring import Field, Scored
from services.totp.words import labels

SURE_SCORE = 3.5
SURE_MARGIN = 1.5
# Two numbers that are both called codes: only a person can tell which one the page asks for.
NAMED_MARGIN = 6.0
WORD_MARGIN = 6.0


class Verdict(Enum):
    """What the parser can say about a message."""

    FOUND = "found"
    UNSURE = "unsure"
    NONE = "none"


@dataclass(frozen=True)
class Reading:
    """The outcome of parsing. The code is kept out of the repr, as it is a secret."""

    verdict: Verdict
    code: str
    candidates: int
    score: float = 0.0

    def __repr__(self) -> str:
        return f"Reading({self.verdict.value}, candidates={self.candidates})"


def read(content: str) -> Reading:
    """The code in a message: text, HTML or a whole e-mail."""
    readings = [reading for text in mail.texts(content) for reading in [_read_text(text)]]
    if not readings:
        return Reading(Verdict.NONE, "", 0)
    found = [reading for reading in readings if reading.verdict is Verdict.FOUND]
    if found:
        best = max(found, key=lambda reading: reading.score)
        rivals = {reading.code for reading in found if best.score - reading.score < SURE_MARGIN}
        if len(rivals) > 1:
            return Reading(Verdict.UNSURE, "", len(rivals))
        return best
    return max(readings, key=lambda reading: reading.candidates)


def _read_text(text: str) -> Reading:
    bare = _bare(text)
    if bare:
        return Reading(Verdict.FOUND, bare, 1, 20.0)
    bound = bound_code(text)
    if bound:
        return Reading(Verdict.FOUND, bound, 1, 20.0)
    top = mail.without_replies(text)
    reading = _score_all(top)
    return _score_all(text) if reading.verdict is Verdict.NONE and top != text else reading


def _bare(text: str) -> str:
    """The code when the text is nothing but one, in one piece or in groups of one length."""
    groups = re.split(r"[ \t-]+", text)
    if len({len(group) for group in groups}) > 1 or not may_stand_alone(groups):
        return ""
    code = "".join(groups)
    return code if MIN_LENGTH <= len(code) <= MAX_LENGTH else ""


def _score_all(text: str) -> Reading:
    text = blanked(text)
    field = Field(text, labels(text), candidates(text))
    found: dict[str, Scored] = {}
    for scored in field.scores():
        before = found.get(scored.value)
        # Said twice (in the subject and in the body) is a little surer than said once.
        found[scored.value] = scored if before is None else before.again(scored)
    ranked = _ranked(found.values())
    if not ranked:
        return Reading(Verdict.NONE, "", 0)
    best = ranked[0]
    sure = field.is_bare or (best.score >= SURE_SCORE and field.speaks_of_codes)
    if not sure or any(_rivals(best, other) for other in ranked[1:]):
        return Reading(Verdict.UNSURE, "", len(ranked), best.score)
    return Reading(Verdict.FOUND, best.value, len(ranked), best.score)


def _ranked(found: Iterable[Scored]) -> list[Scored]:
    """The likely ones, best first. A word in capitals yields to a number that is good enough."""
    likely = sorted((one for one in found if one.score > 0), key=lambda one: -one.score)
    numbers = [one for one in likely if not one.value.isalpha()]
    if numbers and numbers[0].score >= max(SURE_SCORE, likely[0].score - WORD_MARGIN):
        return numbers
    return likely


def _rivals(best: Scored, other: Scored) -> bool:
    """Whether the other is as good, or is called a code just as plainly as the best."""
    if best.score - other.score < SURE_MARGIN:
        return True
    return best.named and other.named and best.score - other.score < NAMED_MARGIN
