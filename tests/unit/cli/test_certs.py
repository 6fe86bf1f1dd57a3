"""podium certs: made once, shown, renewed under the same names."""

import json

import pytest


@pytest.fixture
def edge():
    """Nobody is asked."""


def shown(podium):
    listed = json.loads(podium("certs", "show", "--json").out)["certificates"]
    return {each["part"]: each for each in listed}


def test_they_are_made_once_shown_and_renewed(podium, tmp_path):
    made = podium("certs", "--environment", "staging", "--hours", "2")
    assert "spiffe://podium/staging/run" in made.out
    assert "All are there and fresh" in podium("certs", "--environment", "staging").out
    before = shown(podium)
    assert before["envoy"]["spiffe_id"] == "spiffe://podium/staging/envoy"
    podium("certs", "renew")
    after = shown(podium)
    assert after["run"]["serial"] != before["run"]["serial"]
    assert after["run"]["spiffe_id"] == before["run"]["spiffe_id"]
    assert (tmp_path / "secrets" / "tls" / "run" / "tls.key").exists()
    assert "2.0 h left" in podium("certs", "show").out


def test_what_cannot_be_is_said(podium, tmp_path):
    said = podium("certs", "--dir", str(tmp_path / "none"), "show", code=6).err
    assert "`podium certs` makes them" in said
    assert "--environment" in podium("certs", "--environment", "A/B", code=2).err
