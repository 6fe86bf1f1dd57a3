"""Whether this process takes new calls; when it sheds load it refuses them, with a hint to wait."""

from __future__ import annotations

from libs import errors, metrics

RETRY_AFTER_S = 1.0


class Shedding:
    """One process's willingness to take new calls."""

    def __init__(self) -> None:
        self._because = ""

    def begin(self, because: str) -> None:
        """Refuses every new call from now on; calls under way go on."""
        self._because = because

    @property
    def is_on(self) -> bool:
        """Whether new calls are refused."""
        return bool(self._because)

    def check(self) -> None:
        """Raises Exhausted when new calls are refused."""
        if self._because:
            metrics.SHED.inc()
            raise errors.Exhausted(
                f"this replica is short of {self._because}; another one has room",
                reason="REPLICA_OVERLOADED",
                retry_after_s=RETRY_AFTER_S,
            )
