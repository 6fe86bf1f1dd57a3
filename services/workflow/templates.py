"""Templates in definitions: what they refer to when one is saved, what they give when it runs.

A value that is one `{{ expression }}` keeps the type of its result; anything else is a text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import meta, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.exceptions import TemplateSyntaxError

from libs import metrics

from . import bounds, sandbox

MAX_VALUE_BYTES = 1024 * 1024
BLOCK_FACTS = ("output", "state", "failure", "artifacts", "task_id")
RUN_FACTS = ("run_id", "workflow_run_id")
_MARK = re.compile(r"\{[{%#]")
_ENVIRONMENT = sandbox.Sandbox()
_RESULT = "result"


class TemplateError(ValueError):
    """A template that cannot be read or does not give a value; the message is for its author."""


@dataclass(frozen=True)
class Scope:
    """What a template may refer to at the place where it stands."""

    parameters: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    hidden: Mapping[str, str] = field(default_factory=dict)
    """Labels that exist but cannot be used here, and why."""


def is_template(value: Any) -> bool:
    """Whether a value is a text with a template in it."""
    return isinstance(value, str) and _MARK.search(value) is not None


def check(source: str, scope: Scope) -> list[str]:
    """What is wrong with a template, one sentence each; empty when nothing is."""
    try:
        tree = _parse(source)
        _compiled(source)
    except TemplateError as error:
        return [str(error)]
    wrong = [
        _unknown("name", name, _roots(scope))
        for name in sorted(meta.find_undeclared_variables(tree) - set(_roots(scope)))
    ]
    return list(dict.fromkeys(wrong + list(_wrong_references(tree, scope))))


def check_condition(source: str, scope: Scope) -> list[str]:
    """The same for a condition, which may leave the braces out."""
    wrong = check(_braced(source), scope)
    if not wrong and _single(_parse(_braced(source))) is None:
        return ["must be one expression, such as {{ parameters.count > 1 }}"]
    return wrong


def render(source: str, values: Mapping[str, Any]) -> Any:
    """The value a template gives. Raises TemplateError."""
    kind, compiled = _compiled(source)
    token = bounds.BUDGET.set(bounds.Budget.fresh())
    try:
        return _evaluate(compiled, values) if kind == "value" else _write(compiled, values)
    except TemplateError:
        raise
    except JinjaError as error:
        raise TemplateError(error.message or type(error).__name__) from None
    except ZeroDivisionError:
        raise TemplateError("divides by zero") from None
    except RecursionError:
        raise TemplateError("is nested too deeply") from None
    except (TypeError, ValueError, ArithmeticError, MemoryError, KeyError, IndexError) as error:
        raise TemplateError(f"cannot be evaluated: {_first_line(error)}") from None
    finally:
        bounds.BUDGET.reset(token)


def holds(source: str, values: Mapping[str, Any]) -> bool:
    """Whether a condition holds: empty, zero, false and null do not. Raises TemplateError."""
    return bool(render(_braced(source), values))


def render_deep(value: Any, values: Mapping[str, Any], path: str = "") -> Any:
    """A copy of a JSON value with every template in it replaced by what it gives.

    Raises TemplateError naming the place.
    """
    if isinstance(value, str):
        if not is_template(value):
            return value
        try:
            return render(value, values)
        except TemplateError as error:
            raise TemplateError(f"{path}: {error}" if path else str(error)) from None
    if isinstance(value, dict):
        return {key: render_deep(item, values, _at(path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [render_deep(item, values, f"{path}[{at}]") for at, item in enumerate(value)]
    return value


def texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value that has a template in it, with its path."""
    if is_template(value):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, _at(path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from texts(item, f"{path}[{at}]")


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that was probably meant, or at what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1, 0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names[:12])}" if names else ""


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _braced(source: str) -> str:
    return source if is_template(source) else "{{ " + source + " }}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@lru_cache(maxsize=1024)
def _parse(source: str) -> nodes.Template:
    if len(source.encode("utf-8", "surrogatepass")) > bounds.MAX_TEMPLATE_BYTES:
        raise TemplateError(f"is longer than {bounds.MAX_TEMPLATE_BYTES} bytes")
    try:
        tree = _ENVIRONMENT.parse(source)
        sandbox.check_tree(tree)
    except TemplateSyntaxError as error:
        raise TemplateError(error.message or "is not a template") from None
    except RecursionError:
        raise TemplateError("is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise TemplateError(f"cannot be read: {_first_line(error)}") from None
    return tree


def _single(tree: nodes.Template) -> nodes.Expr | None:
    """The expression, when the template is nothing but one."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    inner = tree.body[0].nodes
    if len(inner) != 1 or isinstance(inner[0], nodes.TemplateData):
        return None
    return inner[0]


@lru_cache(maxsize=1024)
def _compiled(source: str) -> tuple[str, Any]:
    _parse(source)
    # The tree is changed while it is compiled, so the shared one is not used.
    tree = sandbox.bound(_ENVIRONMENT.parse(source.strip() if _is_single(source) else source))
    expression = _single(tree)
    try:
        if expression is None:
            return "text", _ENVIRONMENT.from_string(tree)
        assign = nodes.Assign(nodes.Name(_RESULT, "store", lineno=1), expression, lineno=1)
        body = nodes.Template([assign], lineno=1)
        body.set_environment(_ENVIRONMENT)
        return "value", _ENVIRONMENT.from_string(body)
    except (SyntaxError, JinjaError) as error:
        raise TemplateError(f"cannot be read: {_first_line(error)}") from None
    except (RecursionError, MemoryError):
        raise TemplateError("is nested too deeply") from None


metrics.watch_cache("templates", _compiled)


def _is_single(source: str) -> bool:
    """Whether blanks around the template are all that makes it more than one expression."""
    return _single(_parse(source.strip())) is not None


def _evaluate(compiled: Any, values: Mapping[str, Any]) -> Any:
    context = compiled.new_context(dict(values))
    for _ in compiled.root_render_func(context):
        raise TemplateError("is not one expression")
    result = bounds.plain(context.vars[_RESULT])
    if _weight(result) > MAX_VALUE_BYTES:
        raise TemplateError(f"gives a value of more than {MAX_VALUE_BYTES} bytes")
    return result


def _weight(value: Any) -> int:
    """A quick estimate of the size of a JSON value."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, dict):
        return sum(len(key) + 4 + _weight(item) for key, item in value.items()) + 2
    if isinstance(value, list):
        return sum(_weight(item) + 1 for item in value) + 2
    return 8


def _write(compiled: Any, values: Mapping[str, Any]) -> str:
    total, parts = 0, []
    budget = bounds.BUDGET.get()
    for part in compiled.generate(dict(values)):
        budget.tick(0)
        total += len(part)
        if total > bounds.MAX_TEXT:
            raise TemplateError(f"makes a text of more than {bounds.MAX_TEXT} characters")
        parts.append(part)
    return "".join(parts)


def _roots(scope: Scope) -> list[str]:
    return ["parameters", "blocks", "run", *scope.names]


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    return f"refers to the unknown {what} {word!r}{suggestion(word, known)}"


def _wrong_references(tree: nodes.Template, scope: Scope) -> Iterator[str]:
    checks: dict[str, Callable[[list[str | None], Scope], str | None]] = {
        "parameters": _check_parameter,
        "blocks": _check_block,
        "run": _check_run,
    }
    shadowed = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"} | scope.names
    for chain in _chains(tree):
        root = chain[0]
        if root in checks and root not in shadowed:
            wrong = checks[root](chain[1:], scope)
            if wrong is not None:
                yield wrong


def _check_parameter(rest: list[str | None], scope: Scope) -> str | None:
    if rest and rest[0] is not None and rest[0] not in scope.parameters:
        return _unknown("parameter", rest[0], scope.parameters)
    return None


def _check_run(rest: list[str | None], _scope: Scope) -> str | None:
    if rest and rest[0] is not None and rest[0] not in RUN_FACTS:
        return _unknown("fact of the run", rest[0], RUN_FACTS)
    return None


def _check_block(rest: list[str | None], scope: Scope) -> str | None:
    if not rest or rest[0] is None:
        return "must name the block it refers to, such as blocks.read_orders.output"
    label = rest[0]
    if label in scope.hidden and label not in scope.blocks:
        return f"refers to the block {label!r}, {scope.hidden[label]}"
    if label not in scope.blocks:
        return _unknown("block", label, scope.blocks)
    if len(rest) > 1 and rest[1] is not None and rest[1] not in BLOCK_FACTS:
        return _unknown(f"fact of the block {label!r}:", rest[1], BLOCK_FACTS)
    return None


def _chains(tree: nodes.Template) -> Iterator[list[Any]]:
    """Every reference as its words: `blocks.a['b'][i]` is ["blocks", "a", "b", None]."""
    inner: set[int] = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem, nodes.Name)):
        if id(node) in inner:
            continue
        words: list[Any] = []
        place: nodes.Node = node
        while isinstance(place, nodes.Getattr | nodes.Getitem):
            inner.add(id(place))
            words.append(_word(place))
            place = place.node
        inner.add(id(place))
        if isinstance(place, nodes.Name) and place.ctx == "load":
            yield [place.name, *reversed(words)]


def _word(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    argument = node.arg
    return (
        argument.value
        if isinstance(argument, nodes.Const) and isinstance(argument.value, str)
        else None
    )
