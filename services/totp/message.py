"""Reads the one-time code out of a message, or says that it cannot be sure.

Each candidate is scored by the words around it: how near a word for "code" stands, whether a nearer
word says it is something else (an order, an amount, a phone), and how it is set out. Rules only:
the same message always gives the same answer, and nothing in a message is ever obeyed.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from services.totp import mail
from services.totp.candidates import MAX_LENGTH, MIN_LENGTH, Candidate, bound_code, candidates
from services.totp.masks import BLANK, blanked
from services.totp.words import Kind, Label, labels

SURE_SCORE = 3.5
SURE_MARGIN = 1.5
MAX_CANDIDATES = 500
_BARE_LETTERS = 12
_FAR = 200
_SENTENCE_END = re.compile(r"[!?。！？]|\.(?=\s|$)|\n[ \t]*\n")
_LINK = re.compile(
    r"[\s:=>\"'«»„“”()\[\]{}*#|【】「」『』-]*(?:(?:is|are|was|es|est|ist|é|e|è|jest|je|to|er|är|on"
    r"|adalah|ialah|là|la|lautet|este|a|ez|yra|ir|είναι|هو|هي|است|है|是|为|為|は|:|：|below|follows"
    r"|now|this|the following|é o|es el|este es)[\s:=>\"'«»„“”(\[*#-]*){0,2}",
    re.IGNORECASE,
)
_LINKED = re.compile(
    r"(?:\b(?:is|ist|lautet|est|es|é|è|jest|to|är|er|on|este|adalah|là|είναι|je)|[:=是为為は])\s*\Z",
    re.IGNORECASE,
)
_AND = re.compile(r"\s*(?:,|/|;|or|and|oder|und|ou|et|o|y|e|или|и|或|、|または)\s*", re.IGNORECASE)
_TELLS_WHAT = re.compile(
    r"['\")\]*»” ]{0,3}(?:is|are|es|est|ist|é|è|jest|je|er|är|on|adalah|là|este|to|is je|yra|ir"
    r"|είναι|-|:|是|为|為|は|が|को|هو|является)[\s'’]",
    re.IGNORECASE,
)
_UNIT_AFTER = re.compile(
    r" ?(?:minut|mins?\b|hours?\b|hrs\b|seconds|secs\b|days?\b|points|pts\b|miles|credits|items"
    r"|people|users|followers|steps|calories|km\b|분|分钟|分鐘|小时|秒|天"
    r"|積分|积分|ポイント|pontos|puntos|punkte)",
    re.IGNORECASE,
)


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
    bare = re.sub(r"[ \t-]", "", text)
    if re.fullmatch(rf"[A-Za-z0-9]{{{MIN_LENGTH},{MAX_LENGTH}}}", bare) and _looks_minted(bare):
        return Reading(Verdict.FOUND, bare, 1, 20.0)
    bound = bound_code(text)
    if bound:
        return Reading(Verdict.FOUND, bound, 1, 20.0)
    top = mail.without_replies(text)
    reading = _score_all(top)
    return _score_all(text) if reading.verdict is Verdict.NONE and top != text else reading


def _looks_minted(text: str) -> bool:
    return any(c.isdigit() for c in text) or text.isupper()


def _score_all(text: str) -> Reading:
    text = blanked(text)
    field = _Field(text, labels(text), candidates(text))
    scores: dict[str, float] = {}
    for candidate, score in field.scores():
        before = scores.get(candidate.value)
        # Said twice (in the subject and in the body) is a little surer than said once.
        scores[candidate.value] = score if before is None else max(score, before) + 0.5
    ranked = sorted(((score, value) for value, score in scores.items() if score > 0), reverse=True)
    if not ranked:
        return Reading(Verdict.NONE, "", 0)
    best, code = ranked[0]
    rivals = [score for score, _ in ranked if best - score < SURE_MARGIN]
    sure = field.is_bare or (best >= SURE_SCORE and field.speaks_of_codes)
    if not sure or len(rivals) > 1:
        return Reading(Verdict.UNSURE, "", len(ranked), best)
    return Reading(Verdict.FOUND, code, len(ranked), best)


class _Field:
    """One text with its labels and candidates; scores each candidate by what surrounds it."""

    def __init__(self, text: str, found: list[Label], pieces: list[Candidate]) -> None:
        self.text = text
        self.labels = found
        self.candidates = pieces[:MAX_CANDIDATES]
        self._label_ends = [label.end for label in found]
        self._label_starts = [label.start for label in found]
        self._numbers = [c.start for c in self.candidates if any(d.isdigit() for d in c.value)]
        self._breaks = [match.start() for match in _SENTENCE_END.finditer(text)]
        positive = (Kind.STRONG, Kind.WEAK, Kind.VERB)
        self.speaks_of_codes = any(label.kind in positive for label in found)
        letters = sum(c.isalpha() for c in text)
        self.is_bare = len(self._numbers) == 1 and letters <= _BARE_LETTERS

    def scores(self) -> list[tuple[Candidate, float]]:
        """Each candidate with how much speaks for it; the scale is that of Kind's weights."""
        scored: list[tuple[Candidate, float]] = []
        for candidate in self.candidates:
            score = self._score(candidate)
            if scored and _AND.fullmatch(self.text[scored[-1][0].end : candidate.start]):
                # In "A or B" both are as good, or as bad, as the first.
                score = scored[-1][1]
            scored.append((candidate, score))
        return scored

    def _score(self, candidate: Candidate) -> float:
        own_line = self._on_its_own_line(candidate)
        before = self.labels[: bisect_right(self._label_ends, candidate.start)][-12:]
        after = self.labels[bisect_left(self._label_starts, candidate.end) :][:6]
        direct = self._named_directly(candidate, before)
        tells = self._tells_what(candidate, after)
        score = self._support(candidate, before, after, own_line)
        score += _shape_score(candidate, direct or tells) - self._oddities(candidate, direct)
        if not direct:
            score -= self._objection(candidate, before, after, own_line)
        if direct or (tells and after[0].kind is not Kind.NOT_A_CODE):
            score += 4.0 if direct else 2.0
        return score + (3.0 if own_line else 0.0)

    def _support(
        self, candidate: Candidate, before: list[Label], after: list[Label], own_line: bool
    ) -> float:
        best = 0.0
        share = 1.0
        linked = _LINKED.search(self.text, max(0, candidate.start - 16), candidate.start)
        for label in reversed(before):
            if label.kind is Kind.NOT_A_CODE:
                if not own_line and not self._spent(label, candidate):
                    share = 0.4
                continue
            cost = self._cost(label.end, candidate.start, own_line) * (0.5 if linked else 1.0)
            if label.kind is Kind.VERB and cost <= 2:
                best = max(best, label.kind.value + 2.0)
            best = max(best, share * label.kind.value * math.exp(-cost / 40))
        for label in after:
            if label.kind is not Kind.NOT_A_CODE:
                cost = self._cost(candidate.end, label.start, own_line) + 8
                best = max(best, label.kind.value * math.exp(-cost / 40))
        return best + 1.5 if linked and best > 1 else best

    def _objection(
        self, candidate: Candidate, before: list[Label], after: list[Label], own_line: bool
    ) -> float:
        worst = 0.0
        if before and before[-1].kind is Kind.NOT_A_CODE:
            gap = self.text[before[-1].end : candidate.start]
            spent = self._spent(before[-1], candidate)
            if not spent and (not own_line or re.fullmatch(r"[\s:#.-]*", gap)):
                cost = self._cost(before[-1].end, candidate.start, False)
                worst = -Kind.NOT_A_CODE.value * math.exp(-cost / 15)
        if after and after[0].kind is Kind.NOT_A_CODE and self._tells_what(candidate, after):
            cost = self._cost(candidate.end, after[0].start, False)
            worst = max(worst, -Kind.NOT_A_CODE.value * math.exp(-cost / 20))
        return worst

    def _spent(self, label: Label, candidate: Candidate) -> bool:
        """A number in between has used the word up: "order 77 is approved with 482913"."""
        if BLANK in self.text[label.end : candidate.start]:
            return True
        return self._numbers_between(label.end, candidate.start) > 0

    def _numbers_between(self, start: int, end: int) -> int:
        return bisect_left(self._numbers, end) - bisect_left(self._numbers, start)

    def _cost(self, start: int, end: int, own_line: bool) -> float:
        """How far apart two places are: letters, and what divides thoughts."""
        ends = min(3, bisect_left(self._breaks, end) - bisect_left(self._breaks, start))
        if end - start > _FAR:
            return float(_FAR)
        gap = self.text[start:end]
        cost = float(len(gap.strip())) + 4 * min(gap.count("\n"), 3)
        return cost + (4 if own_line else 20) * ends + 15 * self._numbers_between(start, end)

    def _named_directly(self, candidate: Candidate, before: list[Label]) -> bool:
        """`code: 123456`, `code is 123456`, or the code right under such a line."""
        if not before or before[-1].kind not in (Kind.STRONG, Kind.WEAK):
            return False
        gap = self.text[before[-1].end : candidate.start]
        return len(gap) <= 24 and _LINK.fullmatch(gap) is not None

    def _tells_what(self, candidate: Candidate, after: list[Label]) -> bool:
        """`123456 is your code`: the sentence goes on to say what the number is."""
        if not after or not _TELLS_WHAT.match(self.text, candidate.end):
            return False
        gap = self.text[candidate.end : after[0].start]
        return len(gap) <= 60 and not _SENTENCE_END.search(gap)

    def _on_its_own_line(self, candidate: Candidate) -> bool:
        start = self.text.rfind("\n", 0, candidate.start) + 1
        end = self.text.find("\n", candidate.end)
        left = self.text[start : candidate.start]
        right = self.text[candidate.end : len(self.text) if end < 0 else end]
        return not any(c.isalnum() or c == BLANK for c in left + right)

    def _oddities(self, candidate: Candidate, direct: bool) -> float:
        before = self.text[max(0, candidate.start - 2) : candidate.start]
        odd = 6.0 if _UNIT_AFTER.match(self.text, candidate.end) else 0.0
        if before.endswith("#") and not direct:
            odd += 1.5
        if before[-1:].isdigit() or (before[-1:] == " " and before[:1].isdigit()):
            odd += 2.0
        return odd


def _shape_score(candidate: Candidate, direct: bool) -> float:
    value = candidate.value
    if value.isdigit():
        score = {6: 1.5, 4: 0.8, 5: 1.0, 7: 1.0, 8: 1.0}.get(len(value), 0.0)
        if len(value) == 4 and value[:2] in ("19", "20") and not direct:
            score -= 4.0
        if candidate.shape == "uneven" or (candidate.shape == "spelled" and not direct):
            score -= 1.0
        return score + (1.0 if candidate.shape == "prefix" else 0.0)
    if value.isalpha():
        return -2.0 if direct or candidate.shape == "dashed" else -9.0
    turns = sum(a.isdigit() != b.isdigit() for a, b in pairwise(value))
    if not value.isupper() and not value.islower():
        # Office365, Windows11: a name with a number on it.
        return -6.0 if turns == 1 and not direct else -2.0
    if turns == 1 and (value.islower() or re.fullmatch(r"[A-Z]{3,}\d{1,2}", value)):
        return -1.5 if direct else -6.0
    return 0.0 if direct else -1.5
