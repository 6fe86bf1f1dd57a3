"""The planner that needs no model: a small grammar of verbs over what a page shows.

A sentence it does not fully understand is refused with the words it stumbled over. It would rather
refuse a goal than press the wrong button.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from services.task import schema
from services.task.domain import Reason, TaskFailure
from services.task.grounding import GOOD, Purpose, rank
from services.task.schema import Step, Target

from . import Goal, Look, Past
from .sentences import Held, clauses, hold, ordinal, parts

_KEYS = {"enter": "Enter", "return": "Enter", "tab": "Tab", "escape": "Escape", "esc": "Escape",
         "space": "Space", "backspace": "Backspace", "delete": "Delete", "up": "ArrowUp",
         "down": "ArrowDown", "left": "ArrowLeft", "right": "ArrowRight", "home": "Home",
         "end": "End", "page up": "PageUp", "page down": "PageDown"}  # fmt: skip
_MODIFIERS = {
    "ctrl": "Control",
    "control": "Control",
    "shift": "Shift",
    "alt": "Alt",
    "cmd": "Meta",
}
_REFUSED = re.compile(
    r"\b(don'?t|do not|never|not|unless|if|whether|except|without|instead|otherwise|either|or|"
    r"until|while|whenever|maybe|some|most|cheapest|best|latest|relevant|appropriate|necessary|"
    r"everything|anything|each|every)\b",
    re.IGNORECASE,
)
_UNIT_S = {"ms": 0.001, "millisecond": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0,
           "minute": 60.0}  # fmt: skip
_READ = r"(?:extract|get|read|scrape|collect|return|fetch|tell me|give me|find out)"
_CODE = r"(?:one[- ]time|verification|security|authentication|2fa|login|sms)"
_VERIFY = r"(?:check that|make sure|verify|ensure|confirm)(?: that)?"
_UNIT = r"ms|milliseconds?|s|secs?|seconds?|mins?|minutes?"
_THE = r"(?:the\s+|a\s+|an\s+|my\s+)?"


class RulePlanner:
    """Understands a goal as a whole, before anything is touched, and hands it out step by step."""

    name = "rules"
    recovers = False

    async def next(self, goal: Goal, look: Look, past: Sequence[Past]) -> Step | None:
        """The step after the last one taken; the plan depends on nothing but the goal's words."""
        steps = plan(goal)
        if len(past) >= len(steps):
            return None
        step = steps[len(past)]
        return await _fitted(step, look) if isinstance(step, schema.Fill) else step


def plan(goal: Goal) -> list[Step]:
    """All steps of a goal; TaskFailure names the clause that is not understood."""
    held = hold(goal.text)
    steps: list[Step] = []
    for clause in clauses(held.text, _VERBS):
        steps += _steps(clause, held, goal)
    if not steps:
        raise TaskFailure(Reason.NOT_UNDERSTOOD, "the goal says nothing to do")
    return steps


def _steps(clause: str, held: Held, goal: Goal) -> list[Step]:
    said = held.back(clause)
    for pattern, build in _RULES:
        match = pattern.fullmatch(clause)
        if match is None:
            continue
        if doubt := _REFUSED.search(_decisive(match, clause, build)):
            raise TaskFailure(
                Reason.NOT_UNDERSTOOD,
                f'cannot decide "{doubt[0]}" in "{said}" without a model; say exactly what to do, '
                "with names in quotes, or use explicit actions",
            )
        try:
            return build(_Words(match, held), goal)
        except ValidationError as error:
            why = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise TaskFailure(Reason.NOT_UNDERSTOOD, f'"{said}": {why}') from error
    raise TaskFailure(
        Reason.NOT_UNDERSTOOD,
        f'does not understand "{said}"; it knows open, click, type … into …, choose … in …, '
        "check, uncheck, press, log in, search for, download, extract, wait for, scroll, "
        "take a screenshot; or configure a model, or use explicit actions",
    )


def _decisive(match: re.Match[str], clause: str, build: Builder) -> str:
    """The words of a clause that decide something; values and waits are the person's own."""
    if build in {_type, _fill}:
        return match["field"]
    if build in {_search, _wait_for}:
        return ""
    return re.sub(r"\b(?:each|every)\b", "all", clause) if build is _extract else clause


async def _fitted(step: schema.Fill, look: Look) -> Step:
    """Setting Country to Austria is a choice when Country is a list and not a field."""
    elements = (await look()).elements
    best = {
        purpose: max((c.score for c in rank(step.target, elements, purpose)), default=0.0)
        for purpose in (Purpose.TYPE, Purpose.CHOOSE)
    }
    if best[Purpose.TYPE] < GOOD <= best[Purpose.CHOOSE]:
        return schema.Select(target=step.target, options=[step.value])
    return step


class _Words:
    """The named pieces of a matched clause."""

    def __init__(self, match: re.Match[str], held: Held) -> None:
        self._match = match
        self.held = held

    def raw(self, name: str) -> str:
        """A piece as it stands, quotes still set aside."""
        return (self._match.groupdict().get(name) or "").strip()

    def text(self, name: str) -> str:
        """A piece in the goal's words."""
        return self.held.back(self.raw(name))

    def target(self, name: str) -> Target:
        """A piece as the element it names; a quoted one is taken word for word."""
        words, nth = ordinal(self.raw(name))
        words = re.sub(r"^(?:the|a|an|my|on)\s+", "", words, flags=re.IGNORECASE)
        return Target(words=self.held.back(words), nth=nth)


Builder = Callable[["_Words", Goal], list[Step]]


def _open(w: _Words, _: Goal) -> list[Step]:
    address = w.held.address(w.raw("what"))
    if address is not None:
        return [schema.Goto(url=address)]
    target = w.target("what")
    words = re.sub(r"\s+page$", "", target.words or "", flags=re.IGNORECASE)
    return [schema.Click(target=target.model_copy(update={"words": words}))]


def _press(w: _Words, goal: Goal) -> list[Step]:
    key = _key(w.text("what"))
    return [schema.Press(key=key)] if key else _click(w, goal)


def _click(w: _Words, _: Goal) -> list[Step]:
    return [schema.Click(target=w.target("what"))]


def _double(w: _Words, _: Goal) -> list[Step]:
    return [schema.Click(target=w.target("what"), count=2)]


def _type(w: _Words, _: Goal) -> list[Step]:
    pairs = [
        re.fullmatch(r"(?P<v>.+?)\s+(?:in|into|to)\s+(?P<f>.+)", p) for p in parts(w.raw("all"))
    ]
    if len(pairs) > 1 and all(pairs):
        steps: list[Step] = []
        for pair in pairs:
            assert pair is not None
            steps.append(_filled(w.held, pair["f"], pair["v"]))
        return steps
    return [_filled(w.held, w.raw("field"), w.raw("value"))]


def _fill(w: _Words, _: Goal) -> list[Step]:
    pairs = [re.fullmatch(r"(?P<f>.+?)\s+(?:with|as)\s+(?P<v>.+)", p) for p in parts(w.raw("all"))]
    if len(pairs) > 1 and all(pairs):
        return [_filled(w.held, pair["f"], pair["v"]) for pair in pairs if pair]
    return [_filled(w.held, w.raw("field"), w.raw("value"))]


def _filled(held: Held, field: str, value: str) -> Step:
    # "First name" is what a field is called; only "the first field" counts.
    counted = re.search(r"\b(?:field|box|input)$", field, re.IGNORECASE)
    words, nth = ordinal(field) if counted else (field, None)
    words = re.sub(r"^(?:in\s+)?(?:the|a|an|my)\s+", "", words, flags=re.IGNORECASE)
    return schema.Fill(target=Target(words=held.back(words), nth=nth), value=held.back(value))


def _select(w: _Words, _: Goal) -> list[Step]:
    return [schema.Select(target=w.target("field"), options=_named(w, "what"))]


def _choose(w: _Words, goal: Goal) -> list[Step]:
    words = w.raw("what")
    if re.search(r"\b(tab|button|link|row|card|icon)$", words, re.IGNORECASE):
        return _click(w, goal)
    return [schema.Select(options=_named(w, "what"))]


def _named(w: _Words, name: str) -> list[str]:
    pieces = parts(w.raw(name))
    if all(w.held.only_quote(piece) is not None for piece in pieces):
        return [w.held.back(piece) for piece in pieces]
    words = re.sub(r"^(?:the|a|an)\s+", "", w.text(name), flags=re.IGNORECASE)
    words = re.sub(r"\s+(?:option|radio button|radio)$", "", words, flags=re.IGNORECASE)
    return [words]


def _check(w: _Words, _: Goal) -> list[Step]:
    return [schema.Check(target=target) for target in _several(w)]


def _uncheck(w: _Words, _: Goal) -> list[Step]:
    return [schema.Uncheck(target=target) for target in _several(w)]


def _several(w: _Words) -> list[Target]:
    pieces = parts(w.raw("what"))
    if len(pieces) > 1 and all(w.held.only_quote(piece) is not None for piece in pieces):
        return [Target(words=w.held.back(piece)) for piece in pieces]
    return [w.target("what")]


def _log_in(w: _Words, goal: Goal) -> list[Step]:
    if not goal.has_credential:
        raise TaskFailure(
            Reason.NO_CREDENTIAL, "the goal asks to log in, but the task has no credential_id"
        )
    address = w.held.address(w.raw("where")) if w.raw("where") else None
    return [*([schema.Goto(url=address)] if address else []), schema.Login()]


def _code(_w: _Words, goal: Goal) -> list[Step]:
    if not goal.has_credential:
        raise TaskFailure(
            Reason.NO_CREDENTIAL, "the goal asks for a code, but the task has no credential_id"
        )
    return [schema.TypeCode()]


def _search(w: _Words, _: Goal) -> list[Step]:
    return [schema.Fill(target=Target(role="searchbox"), value=w.text("what"), submit=True)]


def _download(w: _Words, _: Goal) -> list[Step]:
    address = w.held.address(w.raw("what"))
    if address is not None:
        return [schema.Download(url=address)]
    if re.fullmatch(r"(?:the\s+)?(?:file|it)", w.raw("what"), re.IGNORECASE):
        return [schema.Download(target=Target(words="Download"))]
    return [schema.Download(target=w.target("what"))]


def _extract(w: _Words, _: Goal) -> list[Step]:
    what = w.raw("what")
    if re.search(r"\b(table|rows?|list|items|entries|records|all)\b", what, re.IGNORECASE):
        return [schema.Extract(instruction=w.text("what"))]
    names = [re.sub(r"^(?:the|a|an)\s+", "", p, flags=re.IGNORECASE) for p in parts(what)]
    keys = [re.sub(r"\W+", "_", w.held.back(name)).strip("_").lower() for name in names]
    wanted: dict[str, Any] = {
        "type": "object",
        "properties": {
            key: {"type": "string", "title": w.held.back(name)}
            for key, name in zip(keys, names, strict=True)
        },
        "required": keys,
    }
    return [schema.Extract(schema=wanted)]


def _wait_time(w: _Words, _: Goal) -> list[Step]:
    unit = w.text("unit").casefold()
    factor = _UNIT_S.get(unit) or _UNIT_S[unit.removesuffix("s")]
    return [schema.WaitFor(seconds=float(w.text("count")) * factor)]


def _wait_for(w: _Words, _: Goal) -> list[Step]:
    gone = bool(re.search(r"disappear|gone|hidden|vanish", w.raw("how"), re.IGNORECASE))
    quote = w.held.only_quote(re.sub(r"^(?:the\s+)?text\s+", "", w.raw("what")))
    if quote is not None:
        return [schema.WaitFor(text=quote, gone=gone)]
    return [schema.WaitFor(target=w.target("what"), gone=gone)]


def _expect(w: _Words, _: Goal) -> list[Step]:
    return [schema.WaitFor(text=w.text("what"), timeout_ms=schema.ACTION_TIMEOUT_MS)]


def _screenshot(w: _Words, _: Goal) -> list[Step]:
    return [schema.Screenshot(full_page=bool(w.raw("full") or w.raw("whole")))]


def _scroll(w: _Words, _: Goal) -> list[Step]:
    direction = w.text("way").casefold()
    return [schema.Scroll.model_validate({"direction": direction})]


def _scroll_to(w: _Words, _: Goal) -> list[Step]:
    return [schema.Scroll(target=w.target("what"))]


def _hover(w: _Words, _: Goal) -> list[Step]:
    return [schema.Hover(target=w.target("what"))]


def _key(words: str) -> str:
    bare = re.sub(r"^(?:the\s+)|\s+key$", "", words.strip(), flags=re.IGNORECASE)
    if bare.casefold() in _KEYS:
        return _KEYS[bare.casefold()]
    pieces = [piece.strip() for piece in bare.split("+")]
    if len(pieces) > 1 and all(p.casefold() in _MODIFIERS for p in pieces[:-1]):
        last = _KEYS.get(pieces[-1].casefold(), pieces[-1])
        return "+".join([*(_MODIFIERS[p.casefold()] for p in pieces[:-1]), last])
    return ""


def _into(first: str, joint: str, second: str) -> str:
    return rf"(?P<all>(?P<{first}>.+?)\s+(?:{joint})\s+(?P<{second}>.+))"


def _rule(pattern: str, build: Builder) -> tuple[re.Pattern[str], Builder]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL), build


_AIM = r"(?P<what>.+)"
_PAGE = r"(?:the page (?:says|shows|contains) )?"
_SEEN = r"(?: (?:is shown|is visible|is there|appears|shows up|is on the page))?"
_HOW = (
    r"(?P<how> (?:to )?(?:appears?|shows? up|is visible|is shown|is there|disappears?|is gone|"
    r"vanish(?:es)?|is hidden))?"
)
_SITE = r"(?: (?:to|on|at) (?P<where>\S+|the site|the page))?"
_USING = r"(?: (?:with|using) (?:the |my )?(?:stored |saved |given )?(?:credentials?|account))?"
_RULES: list[tuple[re.Pattern[str], Builder]] = [
    _rule(r"go back(?: (?:a|one) page)?", lambda _w, _g: [schema.GoBack()]),
    _rule(r"(?:reload|refresh)(?: (?:the|this) page)?", lambda _w, _g: [schema.Reload()]),
    _rule(rf"(?:log|sign)[ -]?(?:in|on){_SITE}{_USING}", _log_in),
    _rule(rf"(?:enter|type|provide|fill in) {_THE}{_CODE}(?: \w+)? code", _code),
    _rule(rf"(?:(?:go|navigate|browse) to|open|visit|load) {_AIM}", _open),
    _rule(rf"double[ -]click(?: on)? {_AIM}", _double),
    _rule(rf"(?:click|tap)(?: on)? {_AIM}", _click),
    _rule(rf"(?:press|hit|push) {_AIM}", _press),
    _rule(rf"(?:type|enter|input|write|put) {_into('value', 'in|into|to', 'field')}", _type),
    _rule(rf"(?:fill|complete)(?: (?:in|out))? {_into('field', 'with|as', 'value')}", _fill),
    _rule(rf"set {_into('field', 'to', 'value')}", _fill),
    _rule(r"(?:select|choose|pick) (?P<what>.+?)\s+(?:from|in|for|as) (?P<field>.+)", _select),
    _rule(rf"(?:select|choose|pick) {_AIM}", _choose),
    _rule(rf"{_VERIFY} {_PAGE}(?P<what>\x00\d+q\x00){_SEEN}", _expect),
    _rule(rf"(?:uncheck|untick|deselect|disable|turn off|switch off) {_AIM}", _uncheck),
    _rule(rf"(?:check|tick|enable|turn on|switch on) (?!that\b|if\b|whether\b){_AIM}", _check),
    _rule(rf"search(?: for)? {_AIM}", _search),
    _rule(rf"download {_AIM}", _download),
    _rule(rf"{_READ} {_AIM}", _extract),
    _rule(rf"wait(?: for)? (?P<count>\d+(?:\.\d+)?)\s*(?P<unit>{_UNIT})", _wait_time),
    _rule(r"wait (?:for|until) the page (?:to load|is loaded|has loaded)", lambda _w, _g: []),
    _rule(rf"wait (?:for|until) (?P<what>.+?){_HOW}", _wait_for),
    _rule(
        r"(?:take|make|capture|save|grab) (?:a |the )?(?P<full>full[- ]page )?"
        r"(?:screenshot|picture)(?: of (?:the |this )?(?P<whole>whole |full |entire )?page)?",
        _screenshot,
    ),
    _rule(r"scroll (?:to the )?(?P<way>up|down|top|bottom)(?: of the page)?", _scroll),
    _rule(rf"scroll(?: down| up)? to {_AIM}", _scroll_to),
    _rule(rf"(?:hover|move the (?:mouse|pointer)) over {_AIM}", _hover),
    _rule(r"submit(?: the form)?", lambda _w, _g: [schema.Click(target=Target(words="Submit"))]),
]
_VERBS = re.compile(
    r"(?:go|navigate|browse|open|visit|load|reload|refresh|log ?in|sign ?in|log on|sign on|double|"
    r"click|tap|press|hit|push|type|enter|input|write|put|fill|complete|set|select|choose|pick|"
    r"make sure|verify|ensure|confirm|uncheck|untick|deselect|disable|turn|switch|check|"
    r"tick|enable|search|download|extract|get|read|scrape|collect|return|fetch|tell me|give me|"
    r"find out|wait|"
    r"take|capture|save|grab|scroll|hover|move|submit)\b",
    re.IGNORECASE,
)
