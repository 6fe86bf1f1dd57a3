"""What a kind of block is: its parameters, what it needs, and how it runs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol

import aiohttp
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from libs.clock import Clock
from services.workflow import templates
from services.workflow.domain import Failure

RENDERED = {"rendered": True}
"""The validation context of parameters whose templates have been replaced."""

_ACCEPTED_LATER = "a template; its value is checked when the block runs"


class _OrTemplate:
    """Lets a template stand for a value of any type until the block runs."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def accept(value: Any, inner: Callable[[Any], Any], info: ValidationInfo) -> Any:
            rendered = info.context is not None and info.context.get("rendered")
            if not rendered and templates.is_template(value):
                return value
            return inner(value)

        return core_schema.with_info_wrap_validator_function(accept, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        template = {"type": "string", "pattern": r"\{[{%]", "description": _ACCEPTED_LATER}
        return {"anyOf": [handler(schema), template]}


OR_TEMPLATE = _OrTemplate()
ANY_BLOCK = {"type": "object", "title": "block"}
"""Stands for any block in a schema of parameters."""


def _as_text(value: Any) -> Any:
    """A template that gives 42 where a text belongs means the text 42."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(value)


def _is_url(value: str) -> str:
    if not re.match(r"https?://[^\s/?#]+[^\s]*$", value, re.IGNORECASE):
        raise ValueError("must be an http:// or https:// URL")
    return value


def _is_host(value: str) -> str:
    if not re.fullmatch(r"[^\s/:@?#]*[^\s/:@?#.]", value):
        raise ValueError('must be a host such as "acme.example"')
    return value


Text = Annotated[str, BeforeValidator(_as_text), Field(max_length=20_000), OR_TEMPLATE]
Words = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=500), OR_TEMPLATE]
Url = Annotated[
    str,
    Field(min_length=1, max_length=2_048),
    AfterValidator(_is_url),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": 2_048}),
    OR_TEMPLATE,
]
Hosts = Annotated[
    list[Annotated[str, AfterValidator(_is_host), Field(max_length=253), OR_TEMPLATE]],
    Field(max_length=20),
]
Flag = Annotated[bool, OR_TEMPLATE]
Condition = Annotated[
    str,
    Field(min_length=1, max_length=8_192),
    WithJsonSchema({"type": "string", "description": "a condition: one template expression"}),
]
NestedBlocks = Annotated[
    list[Any],
    Field(min_length=1, max_length=200),
    WithJsonSchema({"type": "array", "minItems": 1, "maxItems": 200, "items": ANY_BLOCK}),
]


class Params(BaseModel):
    """Parameters of a block: unknown fields are refused, types are taken at their word."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BlockFailed(Exception):
    """The block cannot reach its goal."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        category: str = "business",
        screenshot_artifact_id: str = "",
        task_id: str = "",
        retryable: bool = True,
        terminates: bool = False,
    ) -> None:
        super().__init__(message)
        self.failure = Failure(
            reason, message[:2_000], "", screenshot_artifact_id, category or "business"
        )
        self.task_id = task_id
        self.retryable = retryable and category != "configuration"
        self.terminates = terminates


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """What a task is to do, in the words of its contract."""

    url: str = ""
    goal: str = ""
    actions: tuple[dict[str, Any], ...] = ()
    login: Mapping[str, Any] | None = None
    extraction: Mapping[str, Any] | None = None
    credential_id: str = ""
    max_steps: int = 0
    screenshot_name: str = ""
    screenshot_full_page: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a block that reached its goal brought."""

    output: Any = None
    summary: str = ""
    task_id: str = ""
    artifacts: list[dict[str, Any]] = field(default_factory=list)


class TaskRunner(Protocol):
    """Has tasks carried out."""

    async def execute(self, order: TaskOrder, context: BlockContext) -> Outcome:
        """Carry a task out to its end; raises BlockFailed."""
        ...


Sequence = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Runs the blocks of a branch: (branch, part of the path, names) -> outputs by label."""


@dataclass(frozen=True, slots=True)
class BlockContext:
    """What a block gets to run with, besides its parameters.

    `pause_until` waits without holding anything when it is long; `note_task` tells which task
    carries the block out, as soon as it is known.
    """

    step_key: str
    block_path: str
    timeout_s: float
    browser_session_id: str
    plan: Any
    clock: Clock
    tasks: TaskRunner
    http: aiohttp.ClientSession
    sequence: Sequence
    pause_until: Callable[[datetime], Awaitable[None]]
    note_task: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Planning:
    """What a plan is made with, just before the block begins."""

    now: datetime
    holds: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Nested:
    """A list of blocks inside a block, as it is written."""

    path: str
    branch: str
    blocks: list[Any]
    names: frozenset[str] = frozenset()


class Block:
    """A kind of block. A plan, if it makes one, is recorded with the block's beginning and given
    back when the block is resumed, so that it does not decide twice.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    Params: ClassVar[type[Params]]
    needs_browser: ClassVar[bool] = False
    is_container: ClassVar[bool] = False
    resumes_itself: ClassVar[bool] = False
    default_timeout_s: ClassVar[float] = 300.0
    unrendered: ClassVar[frozenset[str]] = frozenset()

    def nested(self, _params: Any) -> Iterable[Nested]:
        """The blocks inside it."""
        return ()

    def conditions(self, _params: Any) -> Iterable[tuple[str, str]]:
        """Its conditions, each with its path below `params`."""
        return ()

    def plan(self, _params: Any, _planning: Planning) -> Any:
        """What it decides once, before it begins."""
        return None

    async def run(self, params: Any, context: BlockContext) -> Outcome:
        """Do it. Raises BlockFailed; may be cancelled at any moment."""
        raise NotImplementedError


class BrowserBlock(Block):
    """A block that one task carries out in the session's page."""

    needs_browser = True

    def order(self, params: Any) -> TaskOrder:
        """What the task is to do."""
        raise NotImplementedError

    async def run(self, params: Any, context: BlockContext) -> Outcome:
        """Have the task carried out."""
        return await context.tasks.execute(self.order(params), context)
