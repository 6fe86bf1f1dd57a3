"""What a person may be shown of a message in which no code could be told for certain."""

from __future__ import annotations

import re

from services.totp import mail
from services.totp.candidates import candidates
from services.totp.domain import LONGEST_REDACTED

BLOT = "•"
_LINK = re.compile(r"(https?://[^\s/?#@]{1,253})[^\s]*", re.IGNORECASE)


def redacted(content: str) -> str:
    """The text with every digit, every path of a link and everything like a code blotted out."""
    texts = mail.texts(content)
    text = max(texts, key=len)[:LONGEST_REDACTED] if texts else ""
    text = _LINK.sub(rf"\1/{BLOT}", text)
    letters = list(text)
    for candidate in candidates(text):
        for position in range(candidate.start, candidate.end):
            letters[position] = BLOT
    return "".join(BLOT if letter.isdigit() else letter for letter in letters)
