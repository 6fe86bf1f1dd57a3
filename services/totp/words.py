"""Finds the words that stand beside codes, and beside numbers that are not codes.

The words themselves, in forty languages, are in words.txt; this module only finds them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from services.totp.mail import normalise


class Kind(Enum):
    """What a word says about the number beside it; the value is its weight."""

    STRONG = 10.0
    NOT_A_CODE = -9.0
    WEAK = 7.0
    VERB = 4.0


@dataclass(frozen=True)
class Label:
    """A word found in a text."""

    start: int
    end: int
    kind: Kind


_SPECIAL = str.maketrans("ıłđøæœßðþŀ", "ildoaosdtl")


def fold(text: str) -> str:
    """Lower case without accents, of the same length, so that offsets stay true."""
    return "".join(map(_fold_character, text))


def _fold_character(character: str) -> str:
    if character.isascii():
        return character.lower()
    if "\u0590" <= character < "\u1e00" or character >= "\u2000":
        return _ARABIC.get(character, character)
    return unicodedata.normalize("NFD", character)[0].lower()[0].translate(_SPECIAL)


_ARABIC = {"أ": "ا", "إ": "ا", "آ": "ا", "ى": "ي", "ي": "ي", "ی": "ي", "ك": "ك", "ک": "ك", "ة": "ه"}
_NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)
_JOINED = re.compile("[\u0590-\u06ff\u0900-\u0dff]")
_LETTERS = r"[^\W\d_]{0,30}"
_START = r"(?<![^\W\d_])"
_END = r"(?![^\W\d_])"


def _words() -> dict[Kind, set[str]]:
    found: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    kind = Kind.STRONG
    for line in Path(__file__).with_name("words.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            kind = Kind[line.strip("[]")]
        elif not line.startswith("#"):
            found[kind] |= {word.strip() for word in line.split("|")} - {""}
    return found


def _patterns(words: set[str]) -> list[re.Pattern[str]]:
    """One pattern for each way of writing: words, compounds, joined, without spaces."""
    ways: dict[tuple[str, str], list[str]] = {}
    for word in sorted(words, key=lambda w: (-len(w), w)):
        ways.setdefault(_edges(word), []).append(fold(normalise(word.strip("*"))) + word[-1:])
    return [_pattern(before, after, group) for (before, after), group in ways.items()]


def _edges(word: str) -> tuple[str, str]:
    if _NO_SPACES.search(word):
        return "", ""
    if _JOINED.search(word):
        # Hebrew and Arabic write their small words (the, with, your) onto the word itself.
        return "", _LETTERS
    return (_START + _LETTERS, _END) if word.startswith("*") else (_START, _END)


def _pattern(before: str, after: str, group: list[str]) -> re.Pattern[str]:
    bodies = [
        re.escape(word[:-1]).replace(r"\ ", r"[ \t]+") + (_LETTERS if word[-1] == "*" else "")
        for word in group
    ]
    # Most places in a text start no word at all: one look at the first letter settles those.
    first = "".join(sorted({re.escape(word[0]) for word in group}))
    gate = "" if _LETTERS in before else f"(?=[{first}])"
    return re.compile(f"{before}{gate}(?:{'|'.join(bodies)}){after}")


_PATTERNS = [(kind, pattern) for kind, words in _words().items() for pattern in _patterns(words)]
_RANK = {kind: rank for rank, kind in enumerate(Kind)}


def labels(text: str) -> list[Label]:
    """The words of this text, none overlapping: longer ones first, then the surer class."""
    folded = fold(text)
    found = [
        Label(match.start(), match.end(), kind)
        for kind, pattern in _PATTERNS
        for match in pattern.finditer(folded)
    ]
    found.sort(key=lambda label: (label.start - label.end, _RANK[label.kind], label.start))
    taken = bytearray(len(text))
    kept: list[Label] = []
    for label in found:
        if not any(taken[label.start : label.end]):
            taken[label.start : label.end] = b"\x01" * (label.end - label.start)
            kept.append(label)
    return sorted(kept, key=lambda label: label.start)
