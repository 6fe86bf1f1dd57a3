"""The HTML of the Acme Supplies portal: plain, accessible, nothing fetched from elsewhere."""

from __future__ import annotations

from html import escape

from deploy.demo.orders import MONTHS, Order, in_month, money

_STYLE = """
:root { --ink:#1d2433; --soft:#5c667a; --line:#dfe4ec; --blue:#1f5fbf; --bg:#f5f7fa }
* { box-sizing:border-box }
body { margin:0; font:16px/1.5 system-ui,sans-serif; color:var(--ink); background:var(--bg) }
header { background:#fff; border-bottom:1px solid var(--line); padding:14px 32px;
  display:flex; align-items:center; justify-content:space-between }
.brand { font-weight:700; letter-spacing:.2px } .brand span { color:var(--blue) }
main { max-width:880px; margin:32px auto; padding:0 24px }
.card { background:#fff; border:1px solid var(--line); border-radius:10px; padding:24px }
.narrow { max-width:380px; margin:56px auto }
h1 { font-size:22px; margin:0 0 16px } p { color:var(--soft) }
label { display:block; margin:14px 0 4px; font-weight:600; font-size:14px }
input, select { width:100%; padding:9px 11px; font:inherit;
  border:1px solid #c4ccd9; border-radius:7px }
button, .button { display:inline-block; margin-top:16px; padding:9px 18px; border:0;
  border-radius:7px; background:var(--blue); color:#fff; font:inherit; font-weight:600;
  cursor:pointer; text-decoration:none }
.plain { background:none; color:var(--soft); margin:0; padding:4px 8px }
.error { background:#fdecec; color:#a11d1d; border-radius:7px; padding:9px 12px }
.bar { display:flex; gap:12px; align-items:end; margin-bottom:18px }
.bar label { margin:0 0 4px } .bar button, .bar .button { margin:0 }
.bar div { width:220px }
table { width:100%; border-collapse:collapse }
th, td { text-align:left; padding:9px 8px; border-bottom:1px solid var(--line) }
th { font-size:13px; color:var(--soft) } .number { text-align:right }
a { color:var(--blue) }
footer { text-align:center; color:var(--soft); font-size:13px; padding:24px }
"""


def _page(title: str, body: str, signed_in: bool = False) -> str:
    leave = (
        '<form method="post" action="/logout"><button class="plain">Sign out</button></form>'
        if signed_in
        else ""
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)} · Acme Supplies</title>"
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body>'
        f'<header><div class="brand">Acme <span>Supplies</span></div>{leave}</header>'
        f"<main>{body}</main><footer>Acme Supplies, customer portal (a demo site)</footer>"
        "</body></html>"
    )


def _error(text: str) -> str:
    return f'<p class="error" role="alert">{escape(text)}</p>' if text else ""


def login(error: str = "") -> str:
    """User name and password."""
    return _page(
        "Sign in",
        f'<div class="card narrow"><h1>Sign in</h1>{_error(error)}'
        '<form method="post" action="/login">'
        '<label for="username">User name</label>'
        '<input id="username" name="username" autocomplete="username" required>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password"'
        ' autocomplete="current-password" required>'
        "<button>Sign in</button></form></div>",
    )


def one_time_code(error: str = "") -> str:
    """The second step of the login."""
    return _page(
        "One-time code",
        f'<div class="card narrow"><h1>One-time code</h1>{_error(error)}'
        "<p>Enter the 6-digit code of your authenticator app.</p>"
        '<form method="post" action="/login/code">'
        '<label for="code">Verification code</label>'
        '<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code"'
        ' maxlength="8" required>'
        "<button>Verify</button></form></div>",
    )


def orders(month: str) -> str:
    """The orders of a month, with the form that chooses it and the way to the statement."""
    choices = "".join(
        f'<option value="{key}"{" selected" if key == month else ""}>{name}</option>'
        for key, name in MONTHS.items()
    )
    found = in_month(month)
    return _page(
        "Orders",
        f'<div class="card"><h1>Orders of {MONTHS[month]}</h1>'
        '<form class="bar" method="get" action="/orders"><div><label for="month">Month</label>'
        f'<select id="month" name="month">{choices}</select></div><button>Show</button>'
        f'<a class="button" href="/statement?month={month}">Download statement</a></form>'
        '<table id="orders"><thead><tr><th>Order number</th><th>Date</th><th>Customer</th>'
        '<th class="number">Total</th><th>Status</th></tr></thead>'
        f"<tbody>{''.join(_row(order) for order in found)}</tbody></table>"
        f"<p>{len(found)} orders</p></div>",
        signed_in=True,
    )


def _row(order: Order) -> str:
    return (
        f'<tr><td><a href="/orders/{order.number}">{order.number}</a></td><td>{order.date}</td>'
        f'<td>{escape(order.customer)}</td><td class="number">{money(order.total_cents)}</td>'
        f"<td>{order.status}</td></tr>"
    )


def order(one: Order) -> str:
    """One order with its articles."""
    rows = "".join(
        f'<tr><td>{escape(line.article)}</td><td class="number">{line.quantity}</td>'
        f'<td class="number">{money(line.price_cents)}</td></tr>'
        for line in one.lines
    )
    return _page(
        f"Order {one.number}",
        f'<div class="card"><h1>Order {one.number}</h1>'
        f"<p>{one.date} · {escape(one.customer)} · <strong>{one.status}</strong></p>"
        '<table id="lines"><thead><tr><th>Article</th><th class="number">Quantity</th>'
        f'<th class="number">Price</th></tr></thead><tbody>{rows}</tbody></table>'
        f"<p>Order total: <strong>{money(one.total_cents)}</strong></p>"
        f'<p><a href="/orders?month={one.month}">Back to orders</a></p></div>',
        signed_in=True,
    )


def trouble(title: str, text: str) -> str:
    """An error page."""
    return _page(
        title, f'<div class="card narrow"><h1>{escape(title)}</h1><p>{escape(text)}</p></div>'
    )
