"""replica_died: what is noted when a row is taken up that another replica did not give back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from libs import context, lease
from libs.db import Database, Tx
from libs.recovery.attempts import Recoveries
from libs.recovery.strategies import Failure, Recovery, Step, Strategy


class Takeovers:
    """Records the take-overs of one worker; a service with more to make sure of has its own."""

    def __init__(self, recoveries: Recoveries, database: Database) -> None:
        self._recoveries = recoveries
        self._database = database

    async def record(self, table: sa.Table, key_column: str, work: lease.Work) -> Recovery:
        """Makes sure that the row is this replica's, and keeps from whom it was taken."""

        def hold(tx: Tx) -> None:
            lease.guarded(tx, table, key_column, work.key, work.fence)

        async def held() -> str:
            await self._database.write(hold)
            return f"fence {work.fence} refuses what the earlier holder may still write"

        async def taken() -> str:
            return f"{table.name} {work.key} under fence {work.fence}"

        strategy = Strategy(Failure.REPLICA_DIED, (Step("take_over_lease", taken),), verify=held)
        reason = f"{work.taken_from} let its lease run out"
        with context.bind(**_whose(work.row)):
            return await self._recoveries.attempt(strategy, subject=work.key, reason=reason)


def _whose(row: Any) -> dict[str, str]:
    names = ("organization_id", "run_id")
    return {name: getattr(row, name, "") or "" for name in names}
