"""Which files may be kept: how large, and of which kinds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What may be kept, and for how long."""

    largest_download_bytes: int = 256 * MIB
    largest_upload_bytes: int = 50 * MIB
    refused: tuple[str, ...] = ()
    """Patterns of names and media types, such as "*.exe" or "application/x-msdownload"."""
    keep_for: timedelta | None = None
    """None: until somebody deletes it."""

    @classmethod
    def of(cls, download_mib: int, upload_mib: int, refused: str, days: float) -> Limits:
        """The limits as settings say them."""
        patterns = tuple(part.strip().lower() for part in refused.split(",") if part.strip())
        keep_for = timedelta(days=days) if days else None
        return cls(download_mib * MIB, upload_mib * MIB, patterns, keep_for)

    def why_not(self, name: str, content_type: str) -> str:
        """Why a file of this name and type is not kept; empty when it is."""
        media_type = content_type.partition(";")[0].strip().lower()
        for pattern in self.refused:
            if fnmatchcase(name.lower(), pattern) or fnmatchcase(media_type, pattern):
                return f"files like {pattern} are not kept here"
        return ""
