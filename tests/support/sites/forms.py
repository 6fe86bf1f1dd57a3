"""The login pages of the office site."""

from __future__ import annotations


def login(kind: str, refusal: str = "") -> str:
    """A login form."""
    return f"""<h1>Welcome back</h1><p role="alert">{refusal}</p>
    <form method="post" action="/login{kind}">
    <label>E-mail <input name="user" autocomplete="username"></label>
    <label>Password <input name="pw" type="password"></label><button>Sign in</button></form>"""


def code(kind: str, refusal: str = "") -> str:
    """A form that asks for a one-time code: in one field, in six boxes, or sent by a script."""
    if kind == "-boxes":
        box = '<input name="code{}" maxlength="1" inputmode="numeric" style="width:2em">'
        fields = "".join(box.format(number) for number in range(6))
    else:
        fields = '<label>Verification code <input name="code" inputmode="numeric"></label>'
    form = f"""<h1>Two steps</h1><p role="alert" id="why">{refusal}</p>
    <form method="post" action="/code{kind}" id="f">{fields}<button>Verify</button></form>"""
    if kind != "-script":
        return form
    script = """<script>f.onsubmit = async (e) => { e.preventDefault();
      const r = await (await fetch('/code-script', {method: 'POST', body: new FormData(f)})).json();
      if (r.good) document.body.innerHTML = '<h1>Inside</h1>';
      else { why.textContent = 'Wrong code, try again.'; f.code.value = ''; } }
    </script>"""
    return form + script


MAILED = "<h1>Check your inbox</h1><p>We have sent you a link that signs you in.</p>"
USED_UP = "<h1>Sorry</h1><p>This link has expired or was used before.</p><a href=/>Home</a>"


def magic(kind: str) -> str:
    """A login form that wants nothing but an e-mail address."""
    return f"""<h1>Welcome back</h1><p>We will e-mail you a link, there is no password.</p>
    <form method="post" action="/magic{kind}">
    <label>E-mail <input name="email" type="email"></label><button>Continue</button></form>"""


def confirm(token: str) -> str:
    """What keeps the scanner of a mail server from using the link up."""
    return f"""<h1>One more step</h1><form method="post">
    <input type="hidden" name="token" value="{token}"><button>Sign in to Office</button></form>"""
