"""Plain statements that are built once: to build one costs several times what it takes to run it.

A statement is known by its table and the names of the columns it uses; the values come as
parameters. Whatever is more than equality and a list is written out where it is needed, once, at
the top of its module, with `sa.bindparam`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

# Values and conditions of one update may be about the same column.
_CONDITION = "where_"
Names = tuple[str, ...]


@cache
def inserting(table: sa.Table) -> sa.Insert:
    """INSERT of rows that are given as dictionaries."""
    return sa.insert(table)


@cache
def inserting_new(table: sa.Table, dialect: str) -> sa.Insert:
    """INSERT that leaves a row alone whose key or unique column is taken."""
    kind = sqlite if dialect == "sqlite" else postgresql
    return kind.insert(table).on_conflict_do_nothing()


@cache
def updating(table: sa.Table, lists: Names, equal: Names, values: Names) -> sa.Update:
    """UPDATE of `values` where columns equal their parameter, or are in a list."""
    assigned = {name: sa.bindparam(name, type_=table.c[name].type) for name in values}
    return sa.update(table).where(*_conditions(table, lists, equal)).values(assigned)


@cache
def selecting(table: sa.Table, lists: Names, equal: Names, order_by: str) -> sa.Select[Any]:
    """SELECT of whole rows where columns equal their parameter, or are in a list."""
    query = sa.select(table).where(*_conditions(table, lists, equal))
    return query.order_by(table.c[order_by]) if order_by else query


def split(where: Mapping[str, Any]) -> tuple[Names, Names]:
    """The names that are compared with a list, and those compared with one value."""
    lists = tuple(name for name, value in where.items() if _is_list(value))
    return lists, tuple(name for name in where if name not in lists)


def conditions(where: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the conditions."""
    return {
        _CONDITION + name: list(value) if _is_list(value) else value
        for name, value in where.items()
    }


def _conditions(table: sa.Table, lists: Names, equal: Names) -> list[sa.ColumnElement[bool]]:
    parameter = sa.bindparam
    among = [table.c[name].in_(parameter(_CONDITION + name, expanding=True)) for name in lists]
    return among + [table.c[name] == parameter(_CONDITION + name) for name in equal]


def _is_list(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes)
