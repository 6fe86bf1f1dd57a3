"""The authority of a mesh and the certificates it has given to the parts.

`issue_due` makes what is missing and renews what has lived half of its life, `issue_all` gives
everybody a new one now, and `replace_authority` does so under a new authority; connections go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from deploy import layout
from deploy.certs import authority, files
from deploy.certs.authority import Authority, Issued
from libs.rpc import spiffe

LASTS = timedelta(hours=24)
AUTHORITY = "authority"
# With less of its life left than this, an authority is replaced.
AUTHORITY_LEFT = timedelta(days=30)
# Everybody looks at its files this often at least (libs/rpc/certificates.py), and Envoy at once.
SEEN_WITHIN_S = 3.0


def parts() -> list[str]:
    """Everybody who has a certificate."""
    return [*layout.services(), "gateway", spiffe.ENVOY]


@dataclass(frozen=True)
class Entry:
    """A certificate that a part has now."""

    part: str
    spiffe_id: str
    serial: str
    not_before: datetime
    not_after: datetime

    @property
    def lasts(self) -> timedelta:
        """How long it was made for."""
        return self.not_after - self.not_before - authority.BACKDATED

    def is_due(self, now: datetime) -> bool:
        """Whether half of its life is over: then there is time left when renewing fails."""
        return now >= self.not_after - self.lasts / 2


@dataclass(frozen=True)
class Issuer:
    """Where an authority is kept, and the folder of each part."""

    authority: Path
    folders: Mapping[str, Path]
    environment: str = ""
    lasts: timedelta = LASTS
    owners: Mapping[str, int] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pause: Callable[[float], None] = time.sleep

    @classmethod
    def of(cls, folder: Path, environment: str = "", lasts: timedelta = LASTS) -> Issuer:
        """One that keeps everything in one folder, such as `Layout.certificates` of a home."""
        folders = {part: folder / part for part in parts()}
        return cls(folder / AUTHORITY, folders, environment, lasts)

    def exists(self) -> bool:
        """Whether there is an authority."""
        return bool(files.read(self.authority))

    def issue_due(self) -> list[str]:
        """Give a certificate to whoever has none, or an old one, or another's; answers to whom."""
        with files.locked(self.authority):
            signer = self._authority()
            if signer.certificate.not_valid_after_utc - self.now() < AUTHORITY_LEFT:
                self._replace_authority()
                return list(self.folders)
            due = [part for part in self.folders if self._is_due(part, signer)]
            for part in due:
                self._issue(part, signer)
            return due

    def issue_all(self) -> None:
        """Give everybody a new certificate."""
        with files.locked(self.authority):
            signer = self._authority()
            for part in self.folders:
                self._issue(part, signer)

    def replace_authority(self) -> None:
        """First all trust the old and the new one, then all are the new one's, then only it is."""
        with files.locked(self.authority):
            self._replace_authority()

    def _replace_authority(self) -> None:
        old, new = self._authority(), Authority.make(self.now())
        for part, folder in self.folders.items():
            if kept := files.read(folder):
                both = authority.bundle([new.certificate, old.certificate])
                self._publish(part, kept | {files.TRUSTED: both})
        self.pause(SEEN_WITHIN_S)
        for part in self.folders:
            self._issue(part, new, [new.certificate, old.certificate])
        self._keep(new)
        self.pause(SEEN_WITHIN_S)
        for part, folder in self.folders.items():
            alone = authority.bundle([new.certificate])
            self._publish(part, files.read(folder) | {files.TRUSTED: alone})

    def entries(self) -> list[Entry]:
        """The certificate of each part that has one."""
        found = {part: _certificate(folder) for part, folder in self.folders.items()}
        return [_entry(part, has) for part, has in found.items() if has is not None]

    def _is_due(self, part: str, signer: Authority) -> bool:
        has = _certificate(self.folders[part])
        if has is None or not signer.has_issued(has):
            return True
        entry = _entry(part, has)
        return entry.is_due(self.now()) or entry.spiffe_id != spiffe.uri(part, self.environment)

    def _authority(self) -> Authority:
        kept = files.read(self.authority)
        if kept:
            return Authority.read(Issued(kept[files.CERTIFICATE], kept[files.KEY]))
        made = Authority.make(self.now())
        self._keep(made)
        return made

    def _keep(self, made: Authority) -> None:
        issued = made.issued
        kept = {files.CERTIFICATE: issued.certificate, files.KEY: issued.key}
        files.publish(self.authority, kept)

    def _issue(
        self, part: str, signer: Authority, trusted: Sequence[x509.Certificate] = ()
    ) -> None:
        issued = signer.issue(part, self.environment, self.now(), self.lasts)
        together = {
            files.CERTIFICATE: issued.certificate,
            files.KEY: issued.key,
            files.TRUSTED: authority.bundle(trusted or [signer.certificate]),
        }
        self._publish(part, together)

    def _publish(self, part: str, content: Mapping[str, bytes]) -> None:
        files.publish(self.folders[part], content, self.owners.get(part))


def _certificate(folder: Path) -> x509.Certificate | None:
    content = files.read(folder).get(files.CERTIFICATE)
    return x509.load_pem_x509_certificate(content) if content else None


def _entry(part: str, certificate: x509.Certificate) -> Entry:
    return Entry(
        part=part,
        spiffe_id=authority.spiffe_id(certificate),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
