"""SQL over the links that were revoked: one by one, or all that a session had so far.

A link is a sealed claim and no row; only those that are to end before their time are written down,
until that time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from libs.db import Timestamp, Tx
from services.browser_session.store.tables import METADATA

REVOKED = sa.Table(
    "revoked_links",
    METADATA,
    sa.Column("link_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("session_id", sa.String(64), nullable=False),
    # No link lives longer than this.
    sa.Column("until", Timestamp, nullable=False),
    sa.Index("revoked_links_by_session", "session_id"),
    sa.Index("revoked_links_by_time", "until"),
)
# All links of a session that were made in an earlier series are over.
SERIES = sa.Table(
    "link_series",
    METADATA,
    sa.Column("session_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("series", sa.Integer, nullable=False),
    sa.Column("until", Timestamp, nullable=False),
    sa.Index("link_series_by_time", "until"),
)
_NEXT_SERIES = (
    sa.update(SERIES)
    .where(SERIES.c.session_id == sa.bindparam("key"))
    .values(series=SERIES.c.series + 1, until=sa.bindparam("new_until", type_=Timestamp))
)
_FORGET = tuple(
    sa.delete(table).where(table.c.until < sa.bindparam("now", type_=Timestamp))
    for table in (REVOKED, SERIES)
)


@dataclass(frozen=True)
class Revoked:
    """What is over among the links of some sessions."""

    links: frozenset[str] = frozenset()
    series: dict[str, int] = field(default_factory=dict)

    def ends(self, session_id: str, link_id: str, series: int) -> bool:
        """Whether this link of a session was revoked."""
        return link_id in self.links or series < self.series.get(session_id, 0)


def of_sessions(tx: Tx, session_ids: Collection[str]) -> Revoked:
    """What was revoked among the links of these sessions."""
    listed = list(session_ids)
    links = frozenset(row.link_id for row in tx.select(REVOKED, session_id=listed))
    series = {row.session_id: row.series for row in tx.select(SERIES, session_id=listed)}
    return Revoked(links, series)


def series_of(tx: Tx, session_id: str) -> int:
    """The series of the links that the session is given now."""
    row = tx.first(SERIES, session_id=session_id)
    return row.series if row is not None else 0


def revoke(tx: Tx, organization_id: str, session_id: str, link_id: str, until: datetime) -> None:
    """Writes down that a link is over; again changes nothing."""
    ours = {"organization_id": organization_id, "session_id": session_id}
    tx.insert_new(REVOKED, link_id=link_id, until=until, **ours)


def revoke_all(tx: Tx, organization_id: str, session_id: str, until: datetime) -> None:
    """Writes down that every link that the session has been given is over."""
    if tx.execute(_NEXT_SERIES, {"key": session_id, "new_until": until}).rowcount == 0:
        ours = {"organization_id": organization_id, "session_id": session_id}
        tx.insert(SERIES, {**ours, "series": 1, "until": until})


def forget(tx: Tx) -> None:
    """Forgets what would be over by itself by now."""
    for statement in _FORGET:
        tx.execute(statement, {"now": tx.now})
