"""What in a text may be a code: the pieces of the right shape."""

from __future__ import annotations

import re
from dataclasses import dataclass

MIN_LENGTH = 4
MAX_LENGTH = 10
_BOUND = re.compile(r"^@[a-z0-9.-]+ #([A-Za-z0-9]{4,10})(?: [%@]\S+)?\s*$", re.MULTILINE | re.I)
_OPEN = r"(?<![A-Za-z0-9_/\\@&%+])(?<![0-9][-.,:'])(?<![A-Za-z]-)(?<![A-Za-z]\.)"
_SHUT = r"(?![A-Za-z0-9_/\\@&%])(?![-.,:'][0-9])"
_SHAPES = [
    (shape, re.compile(pattern))
    for shape, pattern in (
        (
            "prefix",
            r"(?<![A-Za-z0-9_/-])[A-Z]{1,5}-(?P<code>\d{4,8}|\d{3}[ -]\d{3})" + _SHUT + "(?!-)",
        ),
        (
            "spelled",
            _OPEN + r"[A-Z0-9](?:(?P<gap>[ \t\n]{1,3}|[ ]?[-.·|][ ]?)[A-Z0-9])"
            r"(?:(?P=gap)[A-Z0-9]){2,8}" + _SHUT,
        ),
        ("spelled", _OPEN + r"\d(?:, \d){3,7}" + _SHUT),
        (
            "grouped",
            _OPEN + r"(?:\d{2}([ -])\d{2}(?:\1\d{2}){0,3}|\d{3}([ \t·.-])\d{3}(?:\2\d{3})?"
            r"|\d{4}([ \t·-])\d{4}|\d{5}([ -])\d{5})" + _SHUT + r"(?![ -]\d)",
        ),
        (
            "uneven",
            _OPEN + r"(?:\d{3}[ -]\d{4}|\d{4}[ -]\d{3}|\d{3}[ -]\d{2}[ -]\d{3})" + _SHUT,
        ),
        (
            "dashed",
            _OPEN + r"(?:[A-Z0-9]{3}-[A-Z0-9]{3}|[A-Z0-9]{4}-[A-Z0-9]{4}"
            r"|[A-Z0-9]{5}-[A-Z0-9]{5})" + _SHUT + "(?!-)",
        ),
        ("digits", _OPEN + r"\d{4,10}" + _SHUT),
        (
            "glued",
            r"(?<![A-Za-z0-9])(?i:code|otp|pin|kod|kode|tan)(?P<code>\d{4,8})" + _SHUT,
        ),
        (
            "glued",
            r"(?<![A-Za-z0-9])(?i:code|otp|pin|token|passcode)(?:=|_|%3D)(?P<code>\d{4,8})"
            r"(?![A-Za-z0-9])",
        ),
        (
            "mixed",
            _OPEN + r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{4,10}" + _SHUT + "(?!-)",
        ),
        ("letters", _OPEN + r"(?<!-)[A-Z]{4,10}" + _SHUT + "(?!-)"),
    )
]
_MEASURE = re.compile(
    r"\d+(?:st|nd|rd|th|am|pm|a\.m|x|px|pt|em|kb|mb|gb|tb|km|kg|mg|ml|cm|mm|hz|khz|mhz|ghz|bit|fps"
    r"|mins?|minutes?|minuten|minutos|minuti|dk|dakika|h|hs|hrs?|hours?|stunden|s|secs?|seconds?"
    r"|days?|d|w|k|m|er|fa|dias|horas|jam|menit|phut|usd|eur|inr|g|min|мин)",
    re.IGNORECASE,
)
_SHOUTED = """
    THIS THAT YOUR CODE CODES HERE BELOW VERIFY LOGIN SIGN ENTER EXPIRES EXPIRE VALID ONLY NEVER
    SHARE PLEASE DONT WITH FROM PASSWORD PASSCODE ACCOUNT SECURITY EMAIL STOP HELP INFO UNTIL
    MINUTES HTTP HTTPS HTML NOTE WARNING ALERT CONFIRM ACCESS IGNORE REQUEST SECURE BANK TEAM HELLO
    DEAR USER CLICK LINK HAVE BEEN SENT WILL THANKS IMPORTANT NICHT NUNCA AVISO KODE KODU SIFRE
"""
_NEVER = frozenset(_SHOUTED.split())


@dataclass(frozen=True)
class Candidate:
    """A piece of text that has the shape of a code."""

    value: str
    start: int
    end: int
    shape: str


def bound_code(text: str) -> str | None:
    """The code of a domain-bound message ("@example.com #123456" on the last line)."""
    found = _BOUND.findall(text)
    return str(found[-1]) if found else None


def candidates(text: str) -> list[Candidate]:
    """Everything of the shape of a code in a blanked text, none overlapping, in order."""
    taken = bytearray(len(text))
    found: list[Candidate] = []
    for shape, pattern in _SHAPES:
        for match in pattern.finditer(text):
            start, end = match.span()
            group = "code" if "code" in pattern.groupindex else 0
            value = re.sub(r"[^A-Za-z0-9]", "", match.group(group))
            if any(taken[start:end]) or not _may_be_code(value, shape):
                continue
            taken[start:end] = b"\x01" * (end - start)
            found.append(Candidate(value, *match.span(group), shape))
    return sorted(found, key=lambda candidate: candidate.start)


def _may_be_code(value: str, shape: str) -> bool:
    if not MIN_LENGTH <= len(value) <= MAX_LENGTH:
        return False
    if shape in ("spelled", "dashed") and value.isalpha():
        return shape == "dashed" and value not in _NEVER
    if value.isalpha() and len(set(value)) == 1:
        # XXXXXX stands for a code that is shown elsewhere.
        return False
    return not _MEASURE.fullmatch(value) and value not in _NEVER


def may_stand_alone(groups: list[str]) -> bool:
    """Whether these pieces look minted rather than written: "X7K 9QP", but not "CODE 4829"."""
    text = "".join(groups)
    if not (text.isascii() and text.isalnum()) or not _NEVER.isdisjoint(groups):
        return False
    return text.isupper() or text.isdigit() or (len(groups) == 1 and not text.isalpha())
