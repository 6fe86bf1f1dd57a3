"""The certificate of this process, read from files that are replaced while it runs.

`podium certs`, Kubernetes and cert-manager lay a folder out in the same way: tls.crt, tls.key and
ca.crt, changed together. They are looked at when a connection is made, not by a clock of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from libs.clock import Clock
from libs.settings import Settings

log = logging.getLogger(__name__)
# More often would ask the file system at every call.
LOOK_EVERY_S = 1.0


def is_local(address: str) -> bool:
    """Whether an address is a unix socket, which the folder it is in protects."""
    return address.startswith("unix:")


@dataclass(frozen=True)
class Version:
    """A certificate, its key, and the authorities that are trusted, as PEM."""

    certificate: bytes
    key: bytes
    trusted: bytes
    folder: Path  # where this version is

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a client, to both prove itself and know the server."""
        return grpc.ssl_channel_credentials(self.trusted, self.key, self.certificate)

    def server_configuration(self) -> Any:
        """For a gRPC server; whoever connects must show a certificate."""
        pair = [(self.key, self.certificate)]
        return grpc.ssl_server_certificate_configuration(pair, self.trusted)


class Certificates:
    """The present version, and credentials that follow it."""

    def __init__(self, folder: Path, environment: str = "", clock: Clock | None = None) -> None:
        self.environment = environment
        self._folder = folder
        self._clock = clock or Clock()
        self._looked_at = self._clock.monotonic()
        self._seen = self._signature()
        self._version = _read(self._folder)

    @classmethod
    def of(cls, settings: Settings) -> Certificates | None:
        """Those that the settings name; None where they name none."""
        if not settings.tls_dir:
            return None
        return cls(Path(settings.tls_dir), settings.tls_environment)

    def current(self) -> Version:
        """The newest version that is whole; a broken one is not taken up."""
        now = self._clock.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return self._version
        self._looked_at = now
        try:
            signature = self._signature()
            if signature != self._seen:
                self._version = _read(self._folder)
                self._seen = signature
                log.info("took up a new certificate of %s", self._folder)
        except (OSError, ValueError) as error:
            log.warning("the certificate in %s cannot be used: %s", self._folder, error)
        return self._version

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC server: each new connection is made with the present version."""
        used = self.current()

        def newer() -> Any:
            nonlocal used
            version = self.current()
            if version is used:
                return None
            used = version
            return version.server_configuration()

        return grpc.dynamic_ssl_server_credentials(
            used.server_configuration(), newer, require_client_authentication=True
        )

    def _signature(self) -> tuple[Any, ...]:
        """What is another when any of the files is."""
        path = (self._folder / "tls.crt").resolve()
        found = path.stat()
        return path, found.st_ino, found.st_mtime_ns


def listen(server: grpc.aio.Server, address: str, certificates: Certificates | None) -> None:
    """Has a gRPC server listen: with mutual TLS if it is TCP and there are certificates."""
    if is_local(address):
        # That of a process that was killed.
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)
    if certificates is None or is_local(address):
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, certificates.server_credentials())
    if port == 0:
        raise SystemExit(f"cannot listen at {address}")


def _read(folder: Path) -> Version:
    # A version has a folder of its own when it is replaced in one step.
    place = (folder / "tls.crt").resolve().parent
    read: Callable[[str], bytes] = lambda name: (place / name).read_bytes()
    version = Version(read("tls.crt"), read("tls.key"), read("ca.crt"), place)
    shown = x509.load_pem_x509_certificate(version.certificate).public_key()
    if load_pem_private_key(version.key, None).public_key() != shown:
        raise ValueError("the key is not that of the certificate")
    return version
