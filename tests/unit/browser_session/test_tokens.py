from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.browser_session.tokens import Claim, InvalidToken, sign, verify

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = b"k" * 32
CLAIM = Claim("bs_1", 3, NOW + timedelta(minutes=1))


def test_a_token_says_what_was_signed_and_never_shows_itself() -> None:
    token = sign(KEY, CLAIM)
    assert verify(KEY, token.reveal(), "bs_1", NOW) == CLAIM
    assert str(token) == "***"


@pytest.mark.parametrize(
    ("key", "session_id", "now", "why"),
    [
        (b"x" * 32, "bs_1", NOW, "not made by"),
        (KEY, "bs_2", NOW, "another session"),
        (KEY, "bs_1", NOW + timedelta(minutes=1), "expired"),
    ],
)
def test_a_token_opens_one_session_for_its_time(
    key: bytes, session_id: str, now: datetime, why: str
) -> None:
    with pytest.raises(InvalidToken, match=why):
        verify(key, sign(KEY, CLAIM).reveal(), session_id, now)


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_a_changed_token_opens_nothing(place: int) -> None:
    token = sign(KEY, CLAIM).reveal()
    changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
    with pytest.raises(InvalidToken):
        verify(KEY, changed, "bs_1", NOW)


@pytest.mark.parametrize("token", ["", ".", "a", "\u00e9.\u00e9", "AAAA.AAAA", "a.b.c"])
def test_nonsense_opens_nothing(token: str) -> None:
    with pytest.raises(InvalidToken):
        verify(KEY, token, "bs_1", NOW)
