"""A recording on disk while it goes on, and the files that are made of it at its end.

Each line and each picture is with the kernel before the next one comes, so that what was recorded
until then is there when this process dies, and whoever finds the folder can make the files of it.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from services.browser_session.domain import Kind
from services.browser_session.view.har import archive

VERSION = "1"
MOST_PICTURES = 6_000
MOST_BYTES = 256 * 1024 * 1024
PICTURES = "pictures"
log = logging.getLogger(__name__)


class Tape:
    """Writes the folder of one recording."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Kind, BinaryIO] = {}
        self._pictures = 0
        self._size_bytes = 0
        self._is_torn = False

    @property
    def is_full(self) -> bool:
        """Whether it takes no more pictures."""
        return self._is_torn or self._pictures >= MOST_PICTURES or self._size_bytes >= MOST_BYTES

    def lay(self) -> None:
        """Makes the folder."""
        (self._folder / PICTURES).mkdir(parents=True, exist_ok=True)

    def add(self, kind: Kind, line: bytes) -> None:
        """Adds a line. When the disk is full the recording ends there, and the session goes on."""
        if self._is_torn:
            return
        try:
            if kind not in self._files:
                self._files[kind] = _lines_of(self._folder, kind).open("ab", buffering=0)
            self._files[kind].write(line + b"\n")
        except OSError as why:
            self._is_torn = True
            log.warning("a recording ends early: %s", why)

    def add_picture(self, jpeg: bytes, at_s: float) -> None:
        """Adds a picture: first the file, then the line that says when it was taken."""
        self._pictures += 1
        self._size_bytes += len(jpeg)
        name = f"{self._pictures:06}.jpg"
        try:
            (self._folder / PICTURES / name).write_bytes(jpeg)
        except OSError as why:
            self._is_torn = True
            log.warning("a recording ends early: %s", why)
        self.add(Kind.RECORDING, orjson.dumps({"name": name, "at_s": at_s}))

    def close(self) -> None:
        """Nothing more comes."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def files_of(folder: Path, kinds: Iterable[Kind]) -> dict[Kind, Path]:
    """Makes the files of what a folder holds, however its recording ended; none without it."""
    if not folder.is_dir():
        return {}
    found = {kind: folder / kind.value for kind in kinds}
    if Kind.CONSOLE in found:
        lines = _whole_lines(_lines_of(folder, Kind.CONSOLE))
        found[Kind.CONSOLE].write_bytes(b"".join(line + b"\n" for line in lines))
    if Kind.HAR in found:
        news = map(orjson.loads, _whole_lines(_lines_of(folder, Kind.HAR)))
        document = archive(news, VERSION)
        found[Kind.HAR].write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    if Kind.RECORDING in found:
        shown = map(orjson.loads, _whole_lines(_lines_of(folder, Kind.RECORDING)))
        _zip(folder / PICTURES, list(shown), found[Kind.RECORDING])
    return found


def _zip(pictures: Path, shown: list[dict[str, Any]], target: Path) -> None:
    """All pictures in one file, with a list that ffmpeg makes a film of."""
    film = ["ffconcat version 1.0"]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for one, following in zip(shown, [*shown[1:], None], strict=True):
            file.write(pictures / one["name"], one["name"])
            until_s = following["at_s"] if following else one["at_s"] + 1
            film += [f"file {one['name']}", f"duration {until_s - one['at_s']:.3f}"]
        file.writestr("film.ffconcat", "\n".join(film) + "\n")
        seconds = [one["at_s"] for one in shown]
        file.writestr("index.json", orjson.dumps({"seconds": seconds}))


def _lines_of(folder: Path, kind: Kind) -> Path:
    return folder / f"{kind.value}.lines"


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of a file; one that was cut off by a death is left out."""
    if not path.exists():
        return []
    *whole, _cut_off = path.read_bytes().split(b"\n")
    return whole
