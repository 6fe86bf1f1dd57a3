from __future__ import annotations

from services.browser_session.profile import Profile

PROFILE = Profile(
    cookies=[{"name": "sid", "value": "s3cret", "domain": "shop.test"}],
    storage={"https://shop.test": (("basket", "two lamps"),)},
    url="https://shop.test/orders?token=s3cret",
)


def test_a_profile_is_the_same_after_it_was_stored() -> None:
    assert Profile.of(PROFILE.as_bytes()) == PROFILE


def test_a_profile_never_prints_what_it_holds() -> None:
    assert repr(PROFILE) == "Profile(1 cookies, 1 origins)"
