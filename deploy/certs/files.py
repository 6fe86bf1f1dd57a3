"""A part's certificate on disk, laid out as Kubernetes mounts a Secret, so that all meshes are one.

    run/tls.crt, tls.key, ca.crt   links into ..data
    run/..data                     a link to the present version, replaced in one step

Whoever watches the folder sees one change, and a certificate never stands beside another's key.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CERTIFICATE, KEY, TRUSTED = "tls.crt", "tls.key", "ca.crt"
DATA = "..data"
PRIVATE = 0o600


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time, also among processes: what two authorities sign at once fits neither."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def publish(folder: Path, files: Mapping[str, bytes], owner: int | None = None) -> None:
    """Put a new version of all files in place of the one before."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    version = folder / f"..{secrets.token_hex(6)}"
    version.mkdir(mode=0o700)
    for name, content in files.items():
        _write(version / name, content)
    _give(owner, folder, version, *version.iterdir())
    previous = (folder / DATA).readlink().name if (folder / DATA).is_symlink() else ""
    _link(folder / DATA, version.name)
    for name in files:
        if not (folder / name).is_symlink():
            _link(folder / name, f"{DATA}/{name}")
    _sweep(folder, {DATA, version.name, previous})


def read(folder: Path) -> dict[str, bytes]:
    """The files of the present version; empty when there is none."""
    try:
        # One look at the link, so that all are of the same version.
        version = (folder / DATA).resolve(strict=True)
        return {path.name: path.read_bytes() for path in version.iterdir()}
    except OSError:
        return {}


def _write(path: Path, content: bytes) -> None:
    """A file that was never readable by others, not even for a moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(content)


def _link(path: Path, target: str) -> None:
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    scratch.symlink_to(target)
    scratch.replace(path)


def _give(owner: int | None, *paths: Path) -> None:
    if owner is not None and os.geteuid() == 0:
        for path in paths:
            os.chown(path, owner, owner)


def _sweep(folder: Path, kept: set[str]) -> None:
    """Old versions go; the one before stays, for whoever is just reading it."""
    for path in folder.iterdir():
        if path.name.startswith("..") and path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
