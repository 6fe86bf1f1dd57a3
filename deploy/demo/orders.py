"""What the customer of Acme Supplies has ordered: fixed data, so that a test can be exact."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One article of an order."""

    article: str
    price_cents: int
    quantity: int


@dataclass(frozen=True)
class Order:
    """One order."""

    number: str
    date: str
    customer: str
    status: str
    lines: tuple[Line, ...]

    @property
    def month(self) -> str:
        """Its month, such as "2026-09"."""
        return self.date[:7]

    @property
    def total_cents(self) -> int:
        """What it costs."""
        return sum(line.quantity * line.price_cents for line in self.lines)


_BUYERS = ("Northwind Bakery", "Harbour Dental", "Lumen Studio", "Old Mill School")
_STATUSES = ("Delivered", "Shipped", "Open")
_ARTICLES = (
    ("Copy paper A4, 500 sheets", 549),
    ("Ballpoint pens, box of 50", 1290),
    ("Desk lamp", 3495),
    ("Filing cabinet", 18900),
    ("Whiteboard markers", 799),
    ("Packing tape, 6 rolls", 1120),
)
MONTHS = {"2026-07": "July 2026", "2026-08": "August 2026", "2026-09": "September 2026"}


def _lines(serial: int) -> tuple[Line, ...]:
    picked = range(serial, serial + 1 + serial % 3)
    return tuple(Line(*_ARTICLES[k % len(_ARTICLES)], quantity=1 + k % 4) for k in picked)


def _orders() -> tuple[Order, ...]:
    orders = []
    for nth, month in enumerate(MONTHS):
        for place in range(4 + nth):
            serial = nth * 7 + place
            orders.append(
                Order(
                    number=f"AC-{1400 + serial}",
                    date=f"{month}-{3 + place * 4:02d}",
                    customer=_BUYERS[serial % len(_BUYERS)],
                    status=_STATUSES[place % 3] if nth == 2 else "Delivered",
                    lines=_lines(serial),
                )
            )
    return tuple(orders)


ORDERS = _orders()


def in_month(month: str) -> list[Order]:
    """The orders of one month, oldest first."""
    return [order for order in ORDERS if order.month == month]


def money(cents: int) -> str:
    """An amount as the site prints it."""
    return f"${cents / 100:,.2f}"


def statement(month: str) -> bytes:
    """The account statement of a month as CSV."""
    sheet = io.StringIO()
    rows = csv.writer(sheet, lineterminator="\r\n")
    rows.writerow(["order", "date", "customer", "status", "total"])
    for order in in_month(month):
        total = f"{order.total_cents / 100:.2f}"
        rows.writerow([order.number, order.date, order.customer, order.status, total])
    return sheet.getvalue().encode()
