"""From words to the one element they mean, or to a reason a person understands. Pure.

Every candidate gets a score: how well the words match, times how strong the place is where they
were found (name > label > placeholder > text). One clear winner is taken; a tie is never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .domain import Reason, TaskFailure
from .schema import Target
from .snapshot import Element

GOOD = 0.62
CLEARLY_BETTER = 0.02
NEAR = 0.2
WIDGETS = frozenset(
    "button link checkbox radio switch textbox searchbox combobox listbox option tab menuitem "
    "menuitemcheckbox menuitemradio slider spinbutton treeitem file clickable".split()
)
_FIELDS = frozenset("textbox searchbox combobox spinbutton slider".split())
_TOGGLES = frozenset("checkbox radio switch menuitemcheckbox menuitemradio".split())
_LISTS = frozenset("combobox listbox radio".split())
_PLACES = (("name", 1.0), ("label", 0.97), ("placeholder", 0.94), ("text", 0.9))
_HINTS = ("test_id", "id", "field_name")
# What people call a thing, and the roles they may mean by it.
ROLE_WORDS: dict[str, frozenset[str]] = {
    "button": frozenset({"button", "clickable", "link"}),
    "link": frozenset({"link", "clickable"}),
    "field": _FIELDS,
    "input": _FIELDS,
    "box": _FIELDS | _TOGGLES,
    "textbox": _FIELDS,
    "checkbox": frozenset({"checkbox", "switch", "menuitemcheckbox"}),
    "switch": frozenset({"switch", "checkbox"}),
    "tab": frozenset({"tab", "button", "link"}),
    "menu": frozenset({"combobox", "listbox", "button", "menuitem"}),
    "dropdown": frozenset({"combobox", "listbox", "button"}),
    "list": frozenset({"combobox", "listbox"}),
    "option": frozenset({"option", "radio"}),
    "radio": frozenset({"radio"}),
    "heading": frozenset({"heading"}),
    "icon": frozenset({"button", "link", "img", "clickable"}),
}
_ALIASES = {"input": "textbox", "select": "combobox", "dropdown": "combobox", "a": "link"}


class Purpose(StrEnum):
    """What the element is wanted for: it decides which elements can be meant at all."""

    POINT = "click"
    TYPE = "type into"
    CHOOSE = "choose from"
    TOGGLE = "check"
    ATTACH = "upload to"
    SEE = "see"


@dataclass(frozen=True)
class Candidate:
    """An element and how well it fits."""

    element: Element
    score: float


def ground(
    target: Target, elements: list[Element], purpose: Purpose, *, place: str = "the page"
) -> Candidate:
    """The element `target` means; raises TaskFailure when there is none, or more than one."""
    ranked = rank(target, elements, purpose)
    fitting = [c for c in ranked if c.score >= GOOD]
    if not fitting:
        near = [c.element for c in ranked] or [e for e in elements if _possible(e, purpose)]
        raise TaskFailure(
            Reason.TARGET_NOT_FOUND,
            f"found nothing to {purpose} called {target} on {place}{_listing(near)}",
        )
    best = [c for c in fitting if c.score > fitting[0].score - CLEARLY_BETTER]
    if target.nth is not None:
        return _nth(target, best, place)
    if len(best) > 1:
        raise TaskFailure(
            Reason.TARGET_AMBIGUOUS,
            f"{len(best)} elements on {place} fit {target}: {_names([c.element for c in best])}; "
            "say which one with role, label or nth",
        )
    return best[0]


def rank(target: Target, elements: list[Element], purpose: Purpose) -> list[Candidate]:
    """All elements that resemble `target`, best first; equals in the order of the page."""
    scored = [Candidate(e, score(target, e)) for e in elements if _possible(e, purpose)]
    return sorted((c for c in scored if c.score >= NEAR), key=lambda c: -c.score)


def score(target: Target, element: Element) -> float:
    """How well an element fits, 0 to 1; every field given must fit."""
    if target.role and not _role_fits(target.role, element):
        return 0.0
    parts = [1.0]
    for field_name in ("name", "label", "text", "placeholder"):
        wanted = getattr(target, field_name)
        if wanted:
            parts.append(
                likeness(wanted, getattr(element, field_name) or _spare(element, field_name))
            )
    if target.words:
        parts.append(_words_score(target.words, element))
    return min(parts)


def likeness(wanted: str, found: str) -> float:
    """How alike two texts are: exact, but for case, but for punctuation, contained, overlapping."""
    if not found:
        return 0.0
    if wanted == found:
        return 1.0
    a, b = wanted.casefold().strip(), found.casefold().strip()
    if a == b:
        return 0.97
    words, others = tokens(a), tokens(b)
    if not words or not others:
        return 0.0
    if words == others:
        return 0.93
    if _within(words, others):
        return 0.65 + 0.2 * len(words) / len(others)
    common = len(set(words) & set(others))
    return 0.5 * common / max(len(set(words)), len(set(others)))


def tokens(text: str) -> list[str]:
    """The words of a text, camelCase and snake_case taken apart, without case or punctuation."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return re.findall(r"[^\W_]+", apart.casefold())


def _words_score(words: str, element: Element) -> float:
    plain = _place_score(words, element)
    stripped, roles = split_role(words)
    if roles and stripped and element.role in roles:
        return max(plain, 0.99 * _place_score(stripped, element))
    return plain


def split_role(words: str) -> tuple[str, frozenset[str]]:
    """Takes "the Sign in button" apart: "Sign in", and the roles a button may have."""
    bare = re.sub(r"^(the|a|an)\s+", "", words.strip(), flags=re.IGNORECASE)
    head, _, last = bare.rpartition(" ")
    roles = ROLE_WORDS.get(last.casefold())
    if head and roles:
        inner, more = split_role(head)
        return (inner, more & roles or roles) if more else (head, roles)
    return bare, frozenset()


def _place_score(words: str, element: Element) -> float:
    best = 0.0
    strength = 1.0 if element.role in WIDGETS else 0.95
    for place, weight in _PLACES:
        best = max(best, weight * strength * likeness(words, getattr(element, place)))
    if best < GOOD:
        # Ids are words for programmers: only a full match counts, as a last resort.
        hints = (getattr(element, hint) for hint in _HINTS)
        if any(hint and tokens(hint) == tokens(words) for hint in hints):
            best = max(best, 0.7 * strength)
    return best


def _spare(element: Element, field_name: str) -> str:
    if field_name == "label":
        return element.name
    if field_name == "text":
        return element.name if element.role not in _FIELDS else ""
    return ""


def _role_fits(role: str, element: Element) -> bool:
    wanted = _ALIASES.get(role.casefold(), role.casefold())
    if wanted == "searchbox":
        return element.role == wanted or (element.role == "textbox" and _searches(element))
    if wanted == "textbox" and element.role in {"searchbox", "spinbutton"}:
        return True
    return element.role == wanted


def _searches(element: Element) -> bool:
    said = tokens(f"{element.name} {element.placeholder} {element.field_name} {element.id}")
    return bool({"search", "q", "query", "find"} & set(said))


def _possible(element: Element, purpose: Purpose) -> bool:
    if element.in_widget and element.role in {"text", "img", "label"}:
        return False
    match purpose:
        case Purpose.TYPE:
            return element.role in _FIELDS and element.tag != "select"
        case Purpose.CHOOSE:
            return element.role in _LISTS
        case Purpose.TOGGLE:
            return element.role in _TOGGLES
        case Purpose.ATTACH:
            return element.role == "file"
        case Purpose.POINT:
            return not element.hidden or element.role in _TOGGLES
    return not element.hidden


def _within(words: list[str], others: list[str]) -> bool:
    size = len(words)
    return any(others[i : i + size] == words for i in range(len(others) - size + 1))


def _nth(target: Target, best: list[Candidate], place: str) -> Candidate:
    assert target.nth is not None
    index = target.nth if target.nth < 0 else target.nth - 1
    if index >= len(best):
        raise TaskFailure(
            Reason.TARGET_NOT_FOUND,
            f"{target}: {place} has only {len(best)}: {_names([c.element for c in best])}",
        )
    return best[index]


def _names(elements: list[Element]) -> str:
    return ", ".join(str(e) for e in elements[:6]) + (", …" if len(elements) > 6 else "")


def _listing(elements: list[Element]) -> str:
    named = [e for e in elements if e.name or e.label or e.placeholder or e.text]
    return f"; the nearest are {_names(named)}" if named else "; there is nothing like it there"
