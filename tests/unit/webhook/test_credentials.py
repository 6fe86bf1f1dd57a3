"""What an endpoint keeps sealed: rotation, and rows that cannot be swapped."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from libs import errors
from libs.secrets import Vault
from services.webhook import credentials
from services.webhook.credentials import MOST_KEYS, Credentials, Key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_old_key_signs_for_the_overlap_and_no_longer() -> None:
    old, new = Key.fresh(), Key.fresh()
    kept = Credentials((old,)).rotated(new, NOW, DAY)
    assert kept.keys[0] == new
    assert [key.secret for key in kept.keys if key.signs(NOW)] == [new.secret, old.secret]
    assert [key.secret for key in kept.keys if key.signs(NOW + DAY)] == [new.secret]


def test_no_overlap_ends_the_old_key_at_once() -> None:
    kept = Credentials((Key.fresh(),)).rotated(Key.fresh(), NOW, DAY)
    kept = kept.rotated(last := Key.fresh(), NOW, timedelta())
    assert kept.keys == (last,)


def test_rotating_again_and_again_keeps_few_keys() -> None:
    kept = Credentials((Key.fresh(),))
    for _ in range(10):
        kept = kept.rotated(Key.fresh(), NOW, DAY)
    assert len(kept.keys) == MOST_KEYS
    assert {key["until"] for key in kept.public_keys} == {None, (NOW + DAY).timestamp()}


def test_what_is_sealed_opens_in_its_own_row_only() -> None:
    vault = Vault.from_text(Vault.fresh_text())
    kept = Credentials((Key.fresh(),), {"authorization": "Bearer x"}, "cert", "key")
    kept = kept.rotated(Key.fresh(), NOW, DAY)
    sealed = credentials.seal(vault, kept, "org_a", "whe_1")
    assert b"Bearer" not in sealed
    row = SimpleNamespace(sealed=sealed, organization_id="org_a", endpoint_id="whe_1")
    assert credentials.unseal(vault, row) == kept
    for other in ({"organization_id": "org_b"}, {"endpoint_id": "whe_2"}):
        swapped = SimpleNamespace(**{**vars(row), **other})
        with pytest.raises(errors.Internal):
            credentials.unseal(vault, swapped)
