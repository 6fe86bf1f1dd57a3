"""SQL over the runs that this service has heard of: who may still act for them.

A run's saga says with each call under which fence it holds the run. A replica that was stopped and
goes on later speaks under an older one, or for a run that has ended; either is refused, so that
no browser is started that nobody would give back.
"""

from __future__ import annotations

import sqlalchemy as sa

from libs import errors
from libs.db import Timestamp, Tx
from libs.lease import LOST
from services.browser_session.store.tables import METADATA

RUNS = sa.Table(
    "known_runs",
    METADATA,
    sa.Column("organization_id", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("known_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
    sa.Index("known_runs_by_time", "known_at"),
)
_KEY = sa.and_(
    RUNS.c.run_id == sa.bindparam("key"), RUNS.c.organization_id == sa.bindparam("organization")
)
_GET = sa.select(RUNS.c.fence, RUNS.c.ended_at).where(_KEY)
_INSERT = sa.insert(RUNS)
_MOVE_ON = sa.update(RUNS).where(_KEY).values(fence=sa.bindparam("new_fence"))
_END = sa.update(RUNS).where(_KEY).values(ended_at=sa.bindparam("at"))
_FORGET = sa.delete(RUNS).where(RUNS.c.known_at < sa.bindparam("before"))


def check_in(tx: Tx, organization_id: str, run_id: str, fence: int) -> None:
    """Notes who acts for the run; raises when it has ended, or somebody newer has acted for it.

    A fence of 0 is a caller that holds none.
    """
    key = {"key": run_id, "organization": organization_id}
    row = tx.execute(_GET, key).one_or_none()
    if row is None:
        _add(tx, organization_id, run_id, fence)
        return
    if row.ended_at is not None:
        raise errors.FailedPrecondition(f"{run_id} has ended", reason="RUN_FINISHED")
    if fence and fence < row.fence:
        raise errors.Aborted("another replica carries this run now", reason=LOST)
    if fence > row.fence:
        tx.execute(_MOVE_ON, {**key, "new_fence": fence})


def end(tx: Tx, organization_id: str, run_id: str) -> None:
    """Notes that the run is over: it is given nothing any more."""
    key = {"key": run_id, "organization": organization_id}
    if tx.execute(_END, {**key, "at": tx.now}).rowcount == 0:
        _add(tx, organization_id, run_id, 0)
        tx.execute(_END, {**key, "at": tx.now})


def forget(tx: Tx, before: object) -> None:
    """Forgets what was first heard of before a time: no call is as late as that."""
    tx.execute(_FORGET, {"before": before})


def _add(tx: Tx, organization_id: str, run_id: str, fence: int) -> None:
    row = {"run_id": run_id, "organization_id": organization_id, "fence": fence}
    tx.execute(_INSERT, {**row, "known_at": tx.now})
