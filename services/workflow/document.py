"""The definition document: from text or a message to a checked workflow, or to precise errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from libs import errors

from . import source, templates
from .blocks import BLOCKS
from .blocks.contract import ANY_BLOCK, Block
from .parameters import Parameter
from .templates import Scope
from .wording import said

MAX_BLOCKS = 500
MAX_BLOCK_DEPTH = 6
MAX_ERRORS = 50
LONGEST_TIMEOUT_S = 31 * 24 * 3600.0
TAKEN_NAMES = frozenset({"parameters", "blocks", "run", "loop"})
LABEL = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BlockDocument(_Strict):
    """One block as it is written; its parameters are checked by its kind."""

    label: str = Field(pattern=LABEL)
    kind: str
    params: dict[str, Any] = {}
    when: str | None = Field(default=None, min_length=1)
    timeout_s: float | None = Field(default=None, gt=0, le=LONGEST_TIMEOUT_S)
    retries: int = Field(default=0, ge=0, le=10)
    on_error: Literal["fail", "continue"] = "fail"
    resume: Literal["safe", "restart", "fail"] = "safe"


class Document(_Strict):
    """The whole document as it is written; its blocks are checked one by one."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
    title: str = Field(default="", max_length=200)
    description: str = Field(default="", max_length=5_000)
    parameters: list[Any] = Field(default=[], max_length=100)
    blocks: list[Any] = Field(min_length=1, max_length=200)
    output: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """One checked block of a definition, with the blocks inside it by branch."""

    label: str
    block: Block
    written: BlockDocument
    branches: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)

    @property
    def timeout_s(self) -> float:
        """The longest one attempt may last."""
        return self.written.timeout_s or self.block.default_timeout_s

    @property
    def needs_browser(self) -> bool:
        """Whether it or a block inside it needs a page."""
        inside = (step for steps in self.branches.values() for step in steps)
        return self.block.needs_browser or any(step.needs_browser for step in inside)


@dataclass(frozen=True, slots=True)
class Definition:
    """A checked definition; never changes."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    output: dict[str, Any]
    document: dict[str, Any]

    @property
    def needs_browser(self) -> bool:
        """Whether a block needs a page."""
        return any(step.needs_browser for step in self.steps)


def from_text(text: str, root: str = "source") -> Definition:
    """The definition a YAML or JSON text holds. Raises errors.Invalid naming each faulty place."""
    try:
        parsed = source.parse(text)
    except source.SourceError as error:
        raise errors.Invalid(root, str(error)) from None
    return _Check(parsed).definition(root)


def from_value(value: Any, root: str = "document") -> Definition:
    """The definition a message holds. Raises errors.Invalid naming each faulty place."""
    try:
        source.check_value(value)
    except source.SourceError as error:
        raise errors.Invalid(root, str(error)) from None
    return _Check(source.Parsed(value)).definition(root)


class _Check:
    """Walks a document, collecting what is wrong with it."""

    def __init__(self, parsed: source.Parsed) -> None:
        self._parsed = parsed
        self._wrong: list[tuple[str, str]] = []
        self._blocks = 0

    def definition(self, root: str) -> Definition:
        written = self._parsed.value
        if not isinstance(written, dict):
            raise errors.Invalid(root, "must be a mapping with name and blocks")
        head = self._model(Document, written, "", "")
        parameters = self._parameters(written.get("parameters"))
        scope = Scope(parameters=frozenset(parameter.key for parameter in parameters))
        steps, inner = self._level(written.get("blocks"), "blocks", scope, 1)
        if isinstance(written.get("output"), dict):
            self._templates(written["output"], "output", inner, "")
        if self._wrong or head is None:
            raise errors.Invalid.many(self._wrong[:MAX_ERRORS])
        return Definition(
            name=head.name,
            title=head.title or head.name,
            description=head.description,
            parameters=tuple(parameters),
            steps=steps,
            output=head.output,
            document=written,
        )

    def _refuse(self, path: str, why: str, label: str = "") -> None:
        line = self._parsed.line(path)
        inside = f"block {label!r}: " if label else ""
        where = f" (line {line})" if line is not None else ""
        self._wrong.append((path, f"{inside}{why}{where}"))

    def _model(self, model: type[Any], written: Any, path: str, label: str) -> Any:
        try:
            return model.model_validate(written)
        except ValidationError as error:
            for place, why in said(error, model):
                full = place if not path else f"{path}.{place}" if place else path
                self._refuse(full.replace(".[", "["), why, label)
            return None

    def _parameters(self, written: Any) -> list[Parameter]:
        found: list[Parameter] = []
        for at, entry in enumerate(written if isinstance(written, list) else ()):
            path = f"parameters[{at}]"
            if not isinstance(entry, dict):
                self._refuse(path, "must be a mapping")
                continue
            parameter = self._model(Parameter, entry, path, "")
            if parameter is None:
                continue
            if any(parameter.key == other.key for other in found):
                self._refuse(f"{path}.key", f"{parameter.key!r} is there twice")
            if parameter.has_default and (why := parameter.wrong(parameter.default)):
                self._refuse(f"{path}.default", why)
            found.append(parameter)
        return found

    def _level(
        self, written: Any, path: str, scope: Scope, depth: int
    ) -> tuple[tuple[Step, ...], Scope]:
        """The blocks of one list, and what may be referred to after them."""
        if not isinstance(written, list):
            return (), scope
        if depth > MAX_BLOCK_DEPTH:
            self._refuse(path, f"blocks are nested deeper than {MAX_BLOCK_DEPTH} levels")
            return (), scope
        labels = [entry.get("label") for entry in written if isinstance(entry, dict)]
        later = {label: "which comes later" for label in labels if isinstance(label, str)}
        scope = _with(scope, blocks=scope.blocks - later.keys(), hidden={**scope.hidden, **later})
        steps: list[Step] = []
        seen: set[str] = set()
        for at, entry in enumerate(written):
            step = self._block(entry, f"{path}[{at}]", scope, depth)
            if isinstance(entry, dict) and isinstance(label := entry.get("label"), str):
                if label in seen:
                    self._refuse(f"{path}[{at}].label", f"{label!r} is there twice", label)
                seen.add(label)
                scope = _with(scope, blocks=scope.blocks | {label})
            if step is not None:
                steps.append(step)
        return tuple(steps), scope

    def _block(self, entry: Any, path: str, scope: Scope, depth: int) -> Step | None:
        self._blocks += 1
        if self._blocks == MAX_BLOCKS + 1:
            self._refuse(path, f"there are more than {MAX_BLOCKS} blocks")
        if not isinstance(entry, dict):
            self._refuse(path, "must be a mapping with label and kind")
            return None
        label = str(entry.get("label", ""))[:64]
        own = Scope(
            scope.parameters,
            scope.blocks,
            scope.names,
            {**scope.hidden, label: "which is this block itself"},
        )
        written = self._model(BlockDocument, entry, path, label)
        block = BLOCKS.get(entry["kind"]) if isinstance(entry.get("kind"), str) else None
        if block is None:
            if isinstance(entry.get("kind"), str):
                why = f"{entry['kind'][:80]!r} is not a kind of block"
                self._refuse(
                    f"{path}.kind", why + templates.suggestion(entry["kind"][:80], BLOCKS), label
                )
            return None
        if isinstance(entry.get("when"), str):
            self._condition(entry["when"], f"{path}.when", own, label)
        branches = self._params(block, entry.get("params", {}), f"{path}.params", own, depth, label)
        if written is None:
            return None
        self._rules(block, written, path, label)
        return Step(written.label, block, written, branches)

    def _rules(self, block: Block, written: BlockDocument, path: str, label: str) -> None:
        if block.is_container and written.retries:
            why = f"a {block.kind} is not retried; give retries to the blocks inside it"
            self._refuse(f"{path}.retries", why, label)
        if block.resumes_itself and written.resume != "safe":
            why = f"a {block.kind} always goes on where it was"
            self._refuse(f"{path}.resume", why, label)

    def _params(
        self, block: Block, written: Any, path: str, scope: Scope, depth: int, label: str
    ) -> dict[str, tuple[Step, ...]]:
        if not isinstance(written, dict):
            return {}
        rendered = {k: v for k, v in written.items() if k not in block.unrendered}
        self._templates(rendered, path, scope, label)
        params = self._model(block.Params, written, path, label)
        if params is None:
            return {}
        for place, condition in block.conditions(params):
            self._condition(condition, f"{path}.{place}", scope, label)
        branches = {}
        for nested in block.nested(params):
            if taken := nested.names & TAKEN_NAMES:
                self._refuse(f"{path}.item_name", f"must not be {min(taken)!r}", label)
            inner = _with(scope, names=scope.names | nested.names)
            where = f"{path}.{nested.path}"
            branches[nested.branch], after = self._level(nested.blocks, where, inner, depth + 1)
            hidden = dict.fromkeys(after.blocks - scope.blocks, f"which is inside {label!r}")
            scope = _with(scope, hidden={**hidden, **scope.hidden})
        return branches

    def _templates(self, written: Any, path: str, scope: Scope, label: str) -> None:
        for place, text in templates.texts(written, path):
            for why in templates.check(text, scope):
                self._refuse(place, why, label)

    def _condition(self, text: str, path: str, scope: Scope, label: str) -> None:
        for why in templates.check_condition(text, scope):
            self._refuse(path, why, label)


def _with(scope: Scope, **changes: Any) -> Scope:
    parts = {
        "parameters": scope.parameters,
        "blocks": scope.blocks,
        "names": scope.names,
        "hidden": scope.hidden,
    }
    return Scope(**(parts | changes))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the whole document, for editors."""
    block = BlockDocument.model_json_schema()
    defs: dict[str, Any] = {"parameter": Parameter.model_json_schema()}
    kinds = []
    for kind, known in sorted(BLOCKS.items()):
        params = params_schema(known)
        defs |= params.pop("$defs", {})
        fields = {**block["properties"], "kind": {"const": kind}, "params": params}
        kinds.append({**block, "title": kind, "description": known.summary, "properties": fields})
    defs["block"] = {"oneOf": kinds}
    document = Document.model_json_schema()
    document["properties"]["blocks"]["items"] = {"$ref": "#/$defs/block"}
    document["properties"]["parameters"]["items"] = {"$ref": "#/$defs/parameter"}
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **_referring({**document, "$defs": defs})}


def _referring(schema: Any) -> Any:
    """The schema with the stand-in for any block replaced by a reference to one."""
    if schema == ANY_BLOCK:
        return {"$ref": "#/$defs/block"}
    if isinstance(schema, dict):
        return {key: _referring(part) for key, part in schema.items()}
    return [_referring(part) for part in schema] if isinstance(schema, list) else schema


def params_schema(block: Block) -> dict[str, Any]:
    """The JSON Schema of the parameters of one kind of block."""
    schema = block.Params.model_json_schema(by_alias=True)
    schema.pop("description", None)
    return schema
