"""Every kind of action: its shape, the hands that carry it out, whether it may be repeated."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jsonschema
import orjson
from playwright.async_api import Error as BrowserError
from pydantic import ValidationError

from libs import errors

from . import schema
from .acting import filling, moving, pointing, reading, signing_in, troubles
from .acting.scene import Scene
from .domain import Reason, TaskFailure
from .schema import Step

GRACE_S = 5.0
MAX_ACTIONS = 200
LARGEST_OUTPUT = 1_000_000


@dataclass(frozen=True)
class Action:
    """One kind of action. `repeatable` says that doing it twice does no more than doing it once."""

    shape: type[Step]
    perform: Callable[[Any, Scene], Awaitable[Any]] | None
    repeatable: bool

    @property
    def summary(self) -> str:
        """One sentence that says what it does."""
        return (self.shape.__doc__ or "").strip()


ACTIONS: dict[str, Action] = {
    "check": Action(schema.Check, filling.check, repeatable=True),
    "click": Action(schema.Click, pointing.click, repeatable=False),
    "download": Action(schema.Download, reading.download, repeatable=True),
    "extract": Action(schema.Extract, reading.extract, repeatable=True),
    "fill": Action(schema.Fill, filling.fill, repeatable=False),
    "finish": Action(schema.Finish, None, repeatable=True),
    "go_back": Action(schema.GoBack, moving.go_back, repeatable=False),
    "goto": Action(schema.Goto, moving.goto, repeatable=True),
    "hover": Action(schema.Hover, pointing.hover, repeatable=True),
    "login": Action(schema.Login, signing_in.login, repeatable=True),
    "press": Action(schema.Press, pointing.press, repeatable=False),
    "reload": Action(schema.Reload, moving.reload, repeatable=True),
    "report_infeasible": Action(schema.ReportInfeasible, None, repeatable=True),
    "screenshot": Action(schema.Screenshot, reading.screenshot, repeatable=True),
    "scroll": Action(schema.Scroll, pointing.scroll, repeatable=False),
    "select": Action(schema.Select, filling.select, repeatable=True),
    "type_code": Action(schema.TypeCode, signing_in.type_code, repeatable=True),
    "uncheck": Action(schema.Uncheck, filling.uncheck, repeatable=True),
    "upload": Action(schema.Upload, filling.upload, repeatable=True),
    "wait_for": Action(schema.WaitFor, moving.wait_for, repeatable=True),
}


async def perform(action: Step, scene: Scene) -> Any:
    """Carry an action out; whatever goes wrong on the page comes back as a TaskFailure."""
    kind: str = action.kind  # type: ignore[attr-defined]
    act = ACTIONS[kind].perform
    if act is None:
        raise TaskFailure(Reason.INTERNAL, f"{kind} ends a task; there is nothing to perform")
    try:
        async with asyncio.timeout(action.timeout_ms / 1000 + GRACE_S):
            return await act(action, scene)
    except TimeoutError as error:
        raise TaskFailure(
            Reason.TARGET_NOT_READY,
            f"the page did not respond to {kind} within {action.timeout_ms / 1000:g} s",
        ) from error
    except BrowserError as error:
        if troubles.is_lost(error):
            raise
        first = scene.scrub(str(error).splitlines()[0][:200])
        raise TaskFailure(Reason.INTERNAL, f"the browser refused to {kind}: {first}") from error


async def answer(action: Step, scene: Scene) -> Any:
    """Carry an action out: its answer, or what was noticed on the way, without secrets."""
    scene.notes.clear()
    output = scene.scrub(await perform(action, scene))
    if scene.notes and output is None:
        output = {"notes": scene.scrub(list(scene.notes))}
    if output is not None and len(orjson.dumps(output)) > LARGEST_OUTPUT:
        raise TaskFailure(Reason.EXTRACTION_INVALID, "the page holds more than 1 MB of data")
    return output


def recorded(action: Step) -> dict[str, Any]:
    """The parameters as they are kept and answered: without the bytes of a file."""
    params = dump(action)
    if isinstance(params.get("content_base64"), str):
        params["content_base64"] = f"({len(params['content_base64'])} characters)"
    return params


def parse_all(raw: list[Any], path: str) -> list[Step]:
    """Read a list of actions; every mistake in it is named with its path."""
    if len(raw) > MAX_ACTIONS:
        raise errors.Invalid(path, f"has {len(raw)} actions; at most {MAX_ACTIONS} are allowed")
    found: list[Step] = []
    wrong: list[tuple[str, str]] = []
    for index, item in enumerate(raw):
        action = _parse(item, f"{path}[{index}]", wrong)
        if action is not None:
            found.append(action)
    if wrong:
        raise errors.Invalid.many(wrong)
    return found


def parse(raw: Any, path: str) -> Step:
    """Read one action; every mistake in it is named with its path."""
    wrong: list[tuple[str, str]] = []
    action = _parse(raw, path, wrong)
    if action is None:
        raise errors.Invalid.many(wrong)
    return action


def ends_task(action: Step) -> bool:
    """Whether it is the last word of a task, and nothing to be done on a page."""
    return ACTIONS[action.kind].perform is None  # type: ignore[attr-defined]


def dump(action: Step) -> dict[str, Any]:
    """An action as it is recorded: only what was said, nothing that is a default."""
    return action.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"kind"})


def check_schema(wanted: dict[str, Any], path: str) -> list[tuple[str, str]]:
    """What is wrong with a JSON Schema that data is to be read into."""
    try:
        jsonschema.Draft202012Validator.check_schema(wanted)
    except jsonschema.SchemaError as error:
        where = ".".join([path, *(str(part) for part in error.path)])
        return [(where, f"is not a valid JSON Schema: {error.message[:200]}")]
    if "$ref" in repr(wanted):
        return [(path, "must not use $ref")]
    return []


def _parse(raw: Any, path: str, wrong: list[tuple[str, str]]) -> Step | None:
    if not isinstance(raw, dict):
        wrong.append((path, 'must be an object such as {"kind": "click", "target": "Sign in"}'))
        return None
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in ACTIONS:
        wrong.append((f"{path}.kind", _unknown_kind(kind)))
        return None
    shape = ACTIONS[kind].shape
    try:
        action = shape.model_validate(raw)
    except ValidationError as error:
        wrong.extend(_explained(error, shape, path))
        return None
    if isinstance(action, schema.Extract) and action.json_schema is not None:
        mistakes = check_schema(action.json_schema, f"{path}.schema")
        wrong.extend(mistakes)
        return None if mistakes else action
    return action


def _unknown_kind(kind: Any) -> str:
    if kind is None:
        return f"is missing; one of {', '.join(ACTIONS)}"
    near = difflib.get_close_matches(str(kind), ACTIONS, n=1, cutoff=0.5)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f'there is no action "{str(kind)[:60]}"{hint} There are {", ".join(ACTIONS)}'


def _explained(error: ValidationError, shape: type[Step], path: str) -> list[tuple[str, str]]:
    said = []
    for problem in error.errors(include_url=False, include_input=False):
        where = path
        for part in problem["loc"]:
            where += f"[{part}]" if isinstance(part, int) else f".{part}"
        match problem["type"]:
            case "extra_forbidden":
                known = schema.Target if "target" in problem["loc"][:-1] else shape
                names = [f.alias or name for name, f in known.model_fields.items()]
                why = f"unknown field; there are {', '.join(names)}"
            case "missing":
                why = "is required"
            case "model_type":
                why = "must be a text or an object"
            case _:
                why = problem["msg"].removeprefix("Value error, ")
        said.append((where, why))
    return said
