"""Recognising login forms, code fields and refusals in what a page shows. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from services.task.grounding import tokens
from services.task.snapshot import Element

_USER_WORDS = frozenset("user username email mail login account userid benutzername".split())
_CODE_WORDS = re.compile(
    r"\b(otp|totp|2fa|mfa|one[\s-]?time|verification code|security code|authenticat\w+ code|"
    r"passcode|access code|login code|sms code|(\d|six)[\s-]?digit code|code)\b",
    re.IGNORECASE,
)
_OTHER_CODES = re.compile(
    r"\b(zip|postal|post|promo\w*|coupon|discount|voucher|country|area|gift|referral|source|bar|"
    r"currency|tax|product)\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(incorrect|invalid|wrong|not (valid|correct|recogni[sz]ed|right)|expired|rejected|denied|"
    r"failed|does(n.t| not) match|do(n.t| not) match|try again|locked|too many)\b",
    re.IGNORECASE,
)
_SPEAKING = frozenset({"alert", "status", "text", "label", "heading"})
SUBMIT_WORDS = re.compile(
    r"^(sign ?in|log ?in|log ?on|continue|next|submit|verify|confirm|send|enter|ok)\b",
    re.IGNORECASE,
)
_USED_UP = re.compile(rf"{_REFUSAL.pattern}|\bused\b|\bno longer\b", re.IGNORECASE)
_MAILED = re.compile(
    r"\b((check|look in|open) (your|the) (e-?mails?|inbox|mailbox)"
    r"|(we|we.ve|we have|just|has been|have|was) (e-?mailed|mailed|sent)\b.{0,40}\b(link|e-?mail)"
    r"|(link|e-?mail) (was|has been|is) (sent|on its way)"
    r"|(click|tap|follow|use|open) the (\S+ ){0,3}link (in|we|that))",
    re.IGNORECASE,
)
_CONFIRM = re.compile(
    r"\b(sign|log)[ -]?(me |you )?in\b|^(confirm|continue|verify|approve)$", re.IGNORECASE
)
_TYPED = frozenset({"text", "email", "tel", "number", "password", ""})


@dataclass(frozen=True)
class Form:
    """What a page shows of a login at one moment."""

    username: Element | None = None
    password: Element | None = None
    code: list[Element] = field(default_factory=list)
    refusals: tuple[str, ...] = ()
    # It says that it has mailed a sign-in link.
    mailed: bool = False

    @property
    def awaits_link(self) -> bool:
        """Whether nothing but the link in the mail leads on."""
        return self.mailed and self.is_gone

    @property
    def is_gone(self) -> bool:
        """Whether nothing of a login is left."""
        return self.password is None and not self.code


def read(elements: list[Element]) -> Form:
    """Find the fields of a login, and what the page says against it."""
    fields = [e for e in elements if e.tag == "input" and _usable(e)]
    code = _code_fields(fields)
    rest = [e for e in fields if e not in code]
    password = next((e for e in rest if e.type == "password"), None)
    return Form(_username(rest, password), password, code, refusals(elements), _mailed(elements))


def link_refusals(elements: list[Element]) -> tuple[str, ...]:
    """Sentences on the page that say that a sign-in link is no longer good."""
    said = (e.text or e.name for e in elements if e.role in _SPEAKING)
    return tuple(s for s in said if len(s) <= 200 and "link" in s.lower() and _USED_UP.search(s))


def confirmation(elements: list[Element]) -> Element | None:
    """The button of a page that a mailed link opens and that only asks whether to go on."""
    if any(e.tag in {"input", "textarea", "select"} and _usable(e) for e in elements):
        return None
    buttons = [e for e in elements if e.role == "button"]
    return next((e for e in buttons if _CONFIRM.search(e.name)), None)


def _mailed(elements: list[Element]) -> bool:
    said = (e.text or e.name for e in elements if e.role in _SPEAKING)
    return any(len(s) <= 300 and _MAILED.search(s) for s in said)


def refusals(elements: list[Element]) -> tuple[str, ...]:
    """Sentences on the page that say something was not accepted."""
    said = [e.text or e.name for e in elements if e.role in _SPEAKING - {"heading"}]
    return tuple(dict.fromkeys(s for s in said if len(s) <= 200 and _REFUSAL.search(s)))


def _usable(element: Element) -> bool:
    off = element.state.get("disabled") or element.state.get("readonly")
    return not element.hidden and not off and element.type in _TYPED


def _code_fields(fields: list[Element]) -> list[Element]:
    boxes = [e for e in fields if e.max_length == 1]
    if 4 <= len(boxes) <= 8:
        return boxes
    for element in fields:
        if element.autocomplete == "one-time-code":
            return [element]
    for element in fields:
        said = " ".join(
            tokens(f"{element.name} {element.label} {element.placeholder} ")
            + tokens(f"{element.field_name} {element.id}")
        )
        current = element.autocomplete in {"current-password", "new-password"}
        if not current and _CODE_WORDS.search(said) and not _OTHER_CODES.search(said):
            return [element]
    return []


def _username(fields: list[Element], password: Element | None) -> Element | None:
    texts = [e for e in fields if e.type != "password"]
    for element in texts:
        if element.autocomplete in {"username", "email"} or element.type == "email":
            return element
    for element in texts:
        said = tokens(f"{element.name} {element.label} {element.placeholder}")
        if _USER_WORDS & set(said + tokens(f"{element.field_name} {element.id}")):
            return element
    if password is None:
        return None
    before = [e for e in texts if fields.index(e) < fields.index(password)]
    return before[-1] if before else None
