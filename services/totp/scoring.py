"""How much speaks for each candidate of a text: the words around it and how it is set out."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise

from services.totp.candidates import Candidate
from services.totp.masks import BLANK
from services.totp.words import Kind, Label

MAX_CANDIDATES = 500
_BARE_LETTERS = 12
_FAR = 200
_SENTENCE_END = re.compile(r"[!?。！？]|\.(?=\s|$)|\n[ \t]*\n")
_LINK = re.compile(
    r"[\s:=>\"'«»„“”()\[\]{}*#|_【】「」『』-]*(?:(?:is|are|was|es|est|ist|é|e|è|jest|je|to|er|är|on"
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
    r"|積分|积分|ポイント|pontos|puntos|punkte|pounds|lbs\b|dollars|euros?\b|tickets|votes|views"
    r"|mm\b|cm\b|kwh\b|files|cars|pages|words|percent|meters|metres|miles|people|customers|users)",
    re.IGNORECASE,
)


_DEAD = re.compile(
    r"['\")\]*»” ]{0,3}(?:(?:has |is |was |have |had )?(?:now |already |just )?(?:expired|used"
    r"|invalid|incorrect|wrong|revoked|no longer)|ist (?:abgelaufen|ungültig|nicht mehr)|a expiré"
    r"|n'est plus|ha caducado|ha expirado|ya no es|expirou|è scaduto|non è più|is verlopen"
    r"|wygasł|истёк|истек|уже не|недействител|已过期|已過期|已失效|は無効|は期限切れ|만료)",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"(?:looks? like(?: this)?|e\.g\.|for example|for instance|such as|z\. ?B\.|zum Beispiel"
    r"|par exemple|p\. ?ex\.|por ejemplo|por exemplo|ad esempio|bijvoorbeeld|np\.|например|例如"
    r"|比如|たとえば|例えば|예를 들어)[,:\s\"'(]*\Z",
    re.IGNORECASE,
)
_BARGAIN = re.compile(
    r"(?:\boff\b|at checkout|discount|\bsale\b|coupon|promo|\bsave \x00|rabatt|gutschein|descuento"
    r"|desconto|sconto|réduction|korting|скидк|zniżk|indirim|割引|할인|优惠|折扣|خصم)",
    re.IGNORECASE,
)
_WORDLIKE = re.compile(r"[A-Z]{3,}(?:\d{1,3}|20\d\d)|\d{1,2}[A-Z]{3,}")
_VOWELS = re.compile("[AEIOU]")


@dataclass(frozen=True)
class Scored:
    """A candidate's value, how much speaks for it, and whether the text calls it a code."""

    value: str
    score: float
    named: bool

    def again(self, other: Scored) -> Scored:
        """The same value met once more."""
        return Scored(self.value, max(self.score, other.score) + 0.5, self.named or other.named)


class Field:
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
        self._bargain = _BARGAIN.search(text) is not None
        self.is_bare = len(self._numbers) == 1 and letters <= _BARE_LETTERS

    def scores(self) -> list[Scored]:
        """Each candidate with how much speaks for it; the scale is that of Kind's weights."""
        scored: list[Scored] = []
        for number, candidate in enumerate(self.candidates):
            one = self._score(candidate)
            if number and self._joined(self.candidates[number - 1], candidate):
                # In "A or B" both are as good, or as bad, as the first.
                one = Scored(one.value, scored[-1].score, scored[-1].named)
            scored.append(one)
        return scored

    def _joined(self, first: Candidate, second: Candidate) -> bool:
        return _AND.fullmatch(self.text[first.end : second.start]) is not None

    def _score(self, candidate: Candidate) -> Scored:
        own_line = self._on_its_own_line(candidate)
        before = self.labels[: bisect_right(self._label_ends, candidate.start)][-12:]
        after = self.labels[bisect_left(self._label_starts, candidate.end) :][:6]
        tells = self._tells_what(candidate, after)
        told_code = tells and after[0].kind is not Kind.NOT_A_CODE
        direct = self._named_directly(candidate, before, tells)
        score = self._support(candidate, before, after, own_line)
        score += self._shape_score(candidate, direct or tells, own_line)
        score -= self._oddities(candidate, direct)
        if not direct:
            score -= self._objection(candidate, before, after, own_line)
        if direct or told_code:
            score += 4.0 if direct else 2.0
        return Scored(candidate.value, score + (3.0 if own_line else 0.0), direct or told_code)

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

    def _named_directly(self, candidate: Candidate, before: list[Label], tells: bool) -> bool:
        """`code: 123456`, `code is 123456`, or the code right under such a line."""
        if not before or before[-1].kind not in (Kind.STRONG, Kind.WEAK):
            return False
        gap = self.text[before[-1].end : candidate.start]
        if len(gap) > 24 or _LINK.fullmatch(gap) is None:
            return False
        # "123456 - code", line end, "9988 - order": each line says what its own number is.
        return not ("\n" in gap and tells and self._names_the_line(before[-1]))

    def _names_the_line(self, label: Label) -> bool:
        """Whether the number that this word is about stands before it on its line."""
        line = self.text[self.text.rfind("\n", 0, label.start) + 1 : label.start]
        return any(c.isdigit() for c in line)

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
        lead = self.text[max(0, candidate.start - 30) : candidate.start]
        if _DEAD.match(self.text, candidate.end) or _EXAMPLE.search(lead):
            odd += 20.0
        if self._bargain and _WORDLIKE.fullmatch(candidate.value):
            odd += 12.0
        if before.endswith("#") and not direct:
            odd += 1.5
        if before[-1:].isdigit() or (before[-1:] == " " and before[:1].isdigit()):
            odd += 2.0
        return odd

    def _shape_score(self, candidate: Candidate, direct: bool, own_line: bool) -> float:
        value = candidate.value
        if value.isdigit():
            score = {6: 1.5, 4: 0.8, 5: 1.0, 7: 1.0, 8: 1.0}.get(len(value), 0.0)
            if len(value) == 4 and value[:2] in ("19", "20") and not direct:
                score -= 4.0
            if candidate.shape == "uneven" or (candidate.shape == "spelled" and not direct):
                score -= 1.0
            return score + (1.0 if candidate.shape == "prefix" else 0.0)
        if value.isalpha():
            if own_line and len(value) >= 5 and not _VOWELS.search(value):
                # BXKVD: nobody's word, on a line of its own.
                return 0.0
            return -2.0 if direct or candidate.shape == "dashed" else -9.0
        turns = sum(a.isdigit() != b.isdigit() for a, b in pairwise(value))
        if not value.isupper() and not value.islower():
            # Office365, Windows11: a name with a number on it.
            return -6.0 if turns == 1 and not direct else -2.0
        if turns == 1 and (value.islower() or re.fullmatch(r"[A-Z]{3,}\d{1,2}", value)):
            return -1.5 if direct else -6.0
        return 0.0 if direct else -1.5
