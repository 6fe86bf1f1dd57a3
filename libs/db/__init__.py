"""The database of one service: units of work, committed together, acknowledged after the flush.

A unit is a plain function of a `Tx`; the same function runs on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import sqlalchemy as sa

from libs.clock import Clock
from libs.db.columns import JSON, SHARED, Timestamp, inbox
from libs.db.database import Counters, Database
from libs.db.postgres import PostgresDatabase
from libs.db.sqlite import SqliteDatabase
from libs.db.tx import Tx

__all__ = ["JSON", "SHARED", "Counters", "Database", "Timestamp", "Tx", "inbox", "open_database"]


async def open_database(url: str, tables: sa.MetaData, clock: Clock, schema: str) -> Database:
    """Opens the database at a URL and makes the tables that are missing."""
    if url.startswith("sqlite"):
        return await SqliteDatabase.start(url, tables, clock, schema)
    return await PostgresDatabase.start(url, tables, clock, schema)
