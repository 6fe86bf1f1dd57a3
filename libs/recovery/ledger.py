"""Where recoveries are kept: rows in the service's schema, and lines in the home.

The row is the truth and stays with its service. The line is for the person at this machine: it can
be written while the database is away, and `podium status` reads it without asking seven processes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from libs import db
from libs.recovery.strategies import Failure, Recovery, State, StepResult

recoveries = sa.Table(
    "recoveries",
    db.SHARED,
    sa.Column("recovery_id", sa.String(64), primary_key=True),
    sa.Column("failure", sa.String(64), nullable=False),
    sa.Column("service", sa.String(64), nullable=False),
    sa.Column("replica", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("steps", db.JSON, nullable=False),
    sa.Column("started_at", db.Timestamp, nullable=False, index=True),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
)
FILE = "recoveries.jsonl"
LARGEST_FILE_BYTES = 1024 * 1024


def save(tx: db.Tx, recovery: Recovery) -> None:
    """Writes a recovery, or what has become of it, and an alert when it failed."""
    values = {
        **recovery.as_dict(),
        "started_at": recovery.started_at,
        "reason": recovery.reason[:2000],
    }
    known = sa.update(recoveries).where(recoveries.c.recovery_id == recovery.recovery_id)
    if tx.execute(known.values(**values)).rowcount == 0:
        tx.execute(sa.insert(recoveries).values(**values))
    if recovery.state is State.FAILED:
        tx.publish("alert.raised", _alert(recovery), **_belongs(recovery))


def recent(tx: db.Tx, limit: int = 50) -> list[Recovery]:
    """The recoveries of this service, newest first."""
    query = sa.select(recoveries).order_by(recoveries.c.started_at.desc()).limit(limit)
    return [_recovery(row) for row in tx.execute(query)]


def unverified(tx: db.Tx, replica: str) -> list[Recovery]:
    """Those that ended an earlier life of this replica and were not verified since."""
    query = sa.select(recoveries).where(
        recoveries.c.state == State.RESTARTING, recoveries.c.replica == replica
    )
    return [_recovery(row) for row in tx.execute(query)]


def _recovery(row: Any) -> Recovery:
    fields = dict(row._mapping)
    fields["failure"], fields["state"] = Failure(row.failure), State(row.state)
    fields["steps"] = tuple(StepResult(**step) for step in row.steps)
    return Recovery(**fields)


def _alert(recovery: Recovery) -> dict[str, Any]:
    failed = recovery.steps[-1] if recovery.steps else None
    return {
        "level": "high",
        "reason": "RECOVERY_FAILED",
        "failure": str(recovery.failure),
        "subject": recovery.subject,
        "message": f"{failed.name}: {failed.message}" if failed else recovery.reason,
    }


def _belongs(recovery: Recovery) -> dict[str, str]:
    return {"organization_id": recovery.organization_id, "run_id": recovery.run_id}


def append_line(home: Path, recovery: Recovery) -> None:
    """Adds a line to the home's file; an old file makes room for a new one."""
    path = home / FILE
    line = json.dumps(recovery.as_dict()).encode() + b"\n"
    # O_APPEND makes each line's write atomic beside those of other processes.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
        if os.fstat(file).st_size > LARGEST_FILE_BYTES:
            path.replace(path.with_suffix(".old"))
    finally:
        os.close(file)


def read_lines(home: Path, limit: int = 20) -> list[dict[str, Any]]:
    """The latest recoveries of the whole home, newest first, each as it last stood."""
    latest: dict[str, dict[str, Any]] = {}
    for path in (home / Path(FILE).with_suffix(".old"), home / FILE):
        try:
            text = path.read_text()
        except OSError:
            continue
        for line in text.splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            latest[found["recovery_id"]] = found
    newest = sorted(latest.values(), key=lambda one: one["started_at"], reverse=True)
    return newest[:limit]
