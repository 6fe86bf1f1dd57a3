"""Attempting recoveries on behalf of one process, and keeping what came of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from libs import context, ids
from libs.clock import Clock
from libs.db import Database
from libs.recovery import ledger
from libs.recovery.strategies import Recovery, State, Step, Strategy, carry_out, carry_out_step

log = logging.getLogger(__name__)


@dataclass
class Recoveries:
    """Carries strategies out for one replica of a service. `replica` is its lasting number."""

    database: Database
    clock: Clock
    service: str
    replica: str
    home: Path

    async def attempt(self, strategy: Strategy, *, subject: str, reason: str) -> Recovery:
        """Carries a strategy out; never raises for what its steps do."""
        present = context.current()
        started_at, began = self.clock.now(), self.clock.monotonic()
        log.warning("recovering from %s (%s): %s", strategy.failure, subject, reason)
        state, steps = await carry_out(strategy, self.clock)
        recovery = Recovery(
            recovery_id=ids.new("rec"),
            failure=strategy.failure,
            service=self.service,
            replica=self.replica,
            subject=subject,
            reason=reason,
            state=state,
            steps=steps,
            started_at=started_at,
            duration_ms=round((self.clock.monotonic() - began) * 1000),
            organization_id=present.organization_id,
            run_id=present.run_id,
        )
        await self._keep(recovery)
        return recovery

    async def verify_restart(self, step: Step) -> None:
        """Ends the recoveries that restarted this replica: health is proven in its new life."""
        for pending in await self.database.read(lambda tx: ledger.unverified(tx, self.replica)):
            result = await carry_out_step(step, self.clock)
            await self._keep(pending.with_step(result))

    async def recent(self, limit: int = 50) -> list[Recovery]:
        """What this service has recovered from, newest first."""
        return await self.database.read(lambda tx: ledger.recent(tx, limit))

    async def _keep(self, recovery: Recovery) -> None:
        took = f"in {recovery.duration_ms} ms" if recovery.state is State.RECOVERED else ""
        level = logging.ERROR if recovery.state is State.FAILED else logging.WARNING
        last = recovery.steps[-1] if recovery.steps else None
        told = f"{last.name}: {last.message}" if last else "no steps"
        log.log(level, "%s %s %s (%s)", recovery.failure, recovery.state, took, told)
        try:
            ledger.append_line(self.home, recovery)
        except OSError:
            log.warning("could not note the recovery in the home", exc_info=True)
        try:
            await self.database.write(lambda tx: ledger.save(tx, recovery))
        except Exception:
            # Nobody is helped by a recovery that fails because it cannot be written down.
            log.exception("could not keep the record of a recovery")
