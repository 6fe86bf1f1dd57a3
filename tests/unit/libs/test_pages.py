"""Page sizes and page tokens, the same for every list."""

from __future__ import annotations

import pytest

from libs import errors, pages


def test_how_many_a_page_holds() -> None:
    asked = (0, 1, 200, 201)
    assert [pages.size(one) for one in asked] == [50, 1, 200, 200]
    with pytest.raises(errors.Invalid):
        pages.size(-1)


def test_a_token_says_where_the_next_page_begins() -> None:
    shown, token = pages.cut(["a", "b", "c"], 2, lambda row: (row,))
    assert (shown, pages.after(token)) == (["a", "b"], "b")
    assert pages.cut(shown, 2, lambda row: (row,)) == (["a", "b"], "")
    nothing: list[str] = []
    assert pages.cut(nothing, 2, lambda row: (row,)) == ([], "")
    assert pages.position(pages.token("2026-11-22", "ä"), 2) == ["2026-11-22", "ä"]
    assert (pages.after(""), pages.position("")) == ("", None)


def test_a_token_belongs_to_its_list() -> None:
    token = pages.token("whd_1", "whe_1", "2")
    assert pages.after(token, "whe_1", "2") == "whd_1"
    with pytest.raises(errors.Invalid, match="other filters"):
        pages.after(token, "whe_2", "2")


@pytest.mark.parametrize(
    "token",
    [
        pages.token("whd_1")[:-2],
        pages.token("whd_1", "whe_1"),
        pages.token("whd\0"),
        pages.token("whd_1") + "A",
        "ä",
        "%%%",
        "e30",  # {}
        "bnVsbA",  # null
        "W10",  # []
        "WzFd",  # [1]
        "_w==",
    ],
)
def test_what_no_page_gave_is_refused(token: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        pages.after(token)
    assert refused.value.violations[0][0] == "page_token"
