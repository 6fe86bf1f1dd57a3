"""Certificates of the parts: what is in them, how they are kept, when they are renewed."""

import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy import layout
from deploy.certs import files, issuer
from deploy.certs.issuer import Issuer

NOW = datetime.now(UTC)


@pytest.fixture
def made(tmp_path):
    """An issuer that has given everybody a certificate."""
    found = Issuer.of(tmp_path / "tls")
    found.issue_due()
    return found


def later(by, of):
    return replace(of, now=lambda: datetime.now(UTC) + by, pause=lambda _s: None)


def serials(of):
    return {entry.part: entry.serial for entry in of.entries()}


def test_every_part_has_a_name_and_a_key_of_its_own(made):
    assert set(made.folders) == {*layout.services(), "gateway", "envoy"}
    keys = set()
    for entry in made.entries():
        content = files.read(made.folders[entry.part])
        assert entry.spiffe_id == f"spiffe://podium/{entry.part}"
        assert entry.lasts == timedelta(hours=24)
        certificate = x509.load_pem_x509_certificate(content["tls.crt"])
        key = load_pem_private_key(content["tls.key"], None)
        assert key.public_key() == certificate.public_key()
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(content["ca.crt"]))
        keys.add(content["tls.key"])
    assert len(keys) == len(made.folders)


def test_keys_are_for_the_owner_alone(made, tmp_path):
    private = [path for path in tmp_path.rglob("*") if not path.is_symlink() and path.is_file()]
    assert len([path for path in private if path.name == "tls.key"]) == len(made.folders) + 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_an_environment_is_part_of_every_name(tmp_path):
    made = Issuer.of(tmp_path, "staging")
    made.issue_due()
    assert {entry.spiffe_id for entry in made.entries()} >= {"spiffe://podium/staging/run"}
    assert set(replace(made, environment="").issue_due()) == set(made.folders), "other names"


def test_what_is_good_is_kept_and_what_is_half_over_is_renewed(made):
    before = serials(made)
    assert made.issue_due() == []
    assert later(timedelta(hours=11), made).issue_due() == []
    assert set(later(timedelta(hours=13), made).issue_due()) == set(made.folders)
    assert not set(serials(made).values()) & set(before.values())


def test_one_that_is_gone_or_anothers_is_made_again(made, tmp_path):
    other = Issuer.of(tmp_path / "other")
    other.issue_due()
    files.publish(made.folders["run"], files.read(other.folders["run"]))
    (made.folders["task"] / files.DATA).unlink()
    assert set(made.issue_due()) == {"run", "task"}


def test_a_new_version_takes_the_place_of_the_old_in_one_step(made):
    folder = made.folders["run"]
    old = (folder / files.DATA).resolve()
    made.issue_all()
    assert (folder / files.DATA).resolve() != old
    assert (folder / "tls.crt").read_bytes() == files.read(folder)["tls.crt"]
    assert old.exists(), "somebody may just be reading it"
    made.issue_all()
    assert not old.exists()


def test_while_an_authority_is_replaced_everybody_trusts_both(made):
    seen = []

    def look(_seconds):
        trusted = x509.load_pem_x509_certificates(files.read(made.folders["run"])["ca.crt"])
        seen.append((len(trusted), serials(made)["run"]))

    before = serials(made)["run"]
    replace(made, pause=look).replace_authority()
    assert seen == [(2, before), (2, serials(made)["run"])]
    assert serials(made)["run"] != before
    trusted = x509.load_pem_x509_certificates(files.read(made.folders["run"])["ca.crt"])
    assert len(trusted) == 1
    assert made.issue_due() == [], "all are of the new authority"


def test_nobody_issues_while_an_authority_is_replaced(made):
    begun, ended = threading.Event(), threading.Event()
    seen = []

    def pause(_seconds):
        begun.set()
        seen.append(ended.wait(timeout=0.2))

    def issue():
        begun.wait()
        made.issue_all()
        ended.set()

    other = threading.Thread(target=issue)
    other.start()
    replace(made, pause=pause).replace_authority()
    other.join()
    assert seen == [False, False]
    assert made.issue_due() == []


def test_an_authority_near_its_end_is_replaced(made):
    before = files.read(made.authority)["tls.crt"]
    later(timedelta(days=340), made).issue_due()
    assert files.read(made.authority)["tls.crt"] != before


def test_no_certificate_outlives_its_authority(made):
    long = replace(made, lasts=timedelta(days=4000))
    long.issue_all()
    authority = x509.load_pem_x509_certificate(files.read(made.authority)["tls.crt"])
    assert {e.not_after for e in long.entries()} == {authority.not_valid_after_utc}
    assert issuer.parts() == list(made.folders)
