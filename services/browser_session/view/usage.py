"""What went through the door to a session's browser, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Usage:
    """Commands and bytes since it was last taken."""

    commands: int = 0
    refused: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def take(self) -> Usage:
        """What was counted; counting begins anew."""
        taken = Usage(**vars(self))
        self.commands = self.refused = self.bytes_in = self.bytes_out = 0
        return taken

    def __bool__(self) -> bool:
        return bool(self.commands or self.bytes_in or self.bytes_out)
