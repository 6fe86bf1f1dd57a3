"""Taking a goal apart: quotes and addresses kept whole, clauses, ordinals. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTED = re.compile(
    r"\"([^\"]*)\"|“([^”]*)”|‘([^’]*)’|`([^`]*)`|(?<![\w])'([^']*(?:'\w[^']*)*)'(?!\w)"
)
_ADDRESS = re.compile(r"https?://[^\s,;\"'<>]*[^\s,;.!?\"'<>)]", re.IGNORECASE)
_HELD = re.compile(r"\x00(\d+)([qu])\x00")
_JOINTS = re.compile(
    r"\s*(?:\n+|;|[.!](?=\s|$)|,?\s*\band\s+then\b|,?\s*\bthen\b|,?\s*\bafter that\b|"
    r",\s*and\b|,|\band\b)\s*",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"^(?:please|now|first|firstly|next|finally|lastly|also|then|and|just|kindly|afterwards|"
    r"can you|could you|would you|go ahead|i want you to|i would like you to|you should|in the end|"
    r"at the end|there|on that page|on this page|on the page)\b[\s,:]*",
    re.IGNORECASE,
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
             "eighth": 8, "ninth": 9, "tenth": 10, "last": -1}  # fmt: skip
_ORDINAL = re.compile(
    rf"^(?:the\s+)?(?:({'|'.join(_ORDINALS)})|(\d{{1,3}})(?:st|nd|rd|th))\s+(.+)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Held:
    """A goal with its quoted texts and addresses set aside, so that they are never taken apart."""

    text: str
    kept: tuple[str, ...]

    def back(self, piece: str) -> str:
        """A piece of the goal with what was set aside put back."""
        return _HELD.sub(lambda m: self.kept[int(m[1])], piece).strip()

    def only_quote(self, piece: str) -> str | None:
        """The quoted text when a piece is nothing else."""
        match = _HELD.fullmatch(piece.strip())
        return self.kept[int(match[1])] if match and match[2] == "q" else None

    def address(self, piece: str) -> str | None:
        """The address when a piece is nothing else."""
        match = _HELD.fullmatch(piece.strip())
        words = self.kept[int(match[1])] if match else piece.strip()
        if re.match(r"https?://", words, re.IGNORECASE):
            return words
        if re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?(?:/\S*)?", words, re.IGNORECASE):
            return f"https://{words}"
        return None


def hold(goal: str) -> Held:
    """Set quotes and addresses aside."""
    kept: list[str] = []

    def keep(kind: str, words: str) -> str:
        kept.append(words)
        return f"\x00{len(kept) - 1}{kind}\x00"

    text = _QUOTED.sub(lambda m: keep("q", next(g for g in m.groups() if g is not None)), goal)
    text = _ADDRESS.sub(lambda m: keep("u", m[0]), text)
    return Held(text.strip(), tuple(kept))


def clauses(text: str, starts: re.Pattern[str]) -> list[str]:
    """Split where a joint is followed by a verb; any other "and" or comma belongs to a name."""
    found: list[str] = []
    begin = 0
    for joint in _JOINTS.finditer(text):
        rest = polished(text[joint.end() :])
        hard = bool(re.search(r"[;.!\n]|then|after that", joint[0], re.IGNORECASE))
        if joint.start() < begin or not (hard or starts.match(rest)):
            continue
        found.append(text[begin : joint.start()])
        begin = joint.end()
    found.append(text[begin:])
    return [clause for clause in (polished(c) for c in found) if clause]


def polished(clause: str) -> str:
    """A clause without the words that carry no meaning."""
    before = None
    while before != clause:
        before = clause
        clause = _POLITE.sub("", clause.strip().rstrip(".!,"))
    return clause.strip()


def ordinal(words: str) -> tuple[str, int | None]:
    """Takes "the second Delete button" apart: "Delete button", 2."""
    match = _ORDINAL.match(words.strip())
    if match is None:
        return words.strip(), None
    nth = _ORDINALS[match[1].casefold()] if match[1] else int(match[2])
    return match[3].strip(), nth


def parts(words: str) -> list[str]:
    """Takes "name, price and stock" apart into the three."""
    pieces = re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", words)
    return [piece.strip() for piece in pieces if piece.strip()]
