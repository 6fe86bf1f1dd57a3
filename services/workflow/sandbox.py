"""The sandbox in which templates of tenants run: a small, bounded subset of Jinja.

Three walls. A syntax tree may only contain the nodes listed here: no calls, no assignments, no
macros, no imports. Values are plain JSON and no attribute of a Python object is ever read, so there
is nothing to climb. And every operator, filter and loop turn checks sizes and the time, so neither
memory nor CPU can be used up.
"""

from __future__ import annotations

from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from . import bounds
from .filters import FILTERS, TESTS

MAX_TREE_DEPTH = 40
_LOOP_FACTS = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0"}
)
_ALLOWED_NODES: frozenset[type[nodes.Node]] = frozenset(
    {
        nodes.Template,
        nodes.Output,
        nodes.TemplateData,
        nodes.If,
        nodes.For,
        nodes.Name,
        nodes.Const,
        nodes.List,
        nodes.Tuple,
        nodes.Dict,
        nodes.Pair,
        nodes.Getattr,
        nodes.Getitem,
        nodes.Slice,
        nodes.Filter,
        nodes.Test,
        nodes.CondExpr,
        nodes.Compare,
        nodes.Operand,
        nodes.Keyword,
        nodes.And,
        nodes.Or,
        nodes.Not,
        nodes.Neg,
        nodes.Pos,
        nodes.Add,
        nodes.Sub,
        nodes.Mul,
        nodes.Div,
        nodes.FloorDiv,
        nodes.Mod,
        nodes.Pow,
        nodes.Concat,
    }
)
_WHY_NOT: dict[type[nodes.Node], str] = {
    nodes.Call: "calling things is not allowed; use a filter, such as {{ value | length }}",
    nodes.Assign: "assignments are not allowed",
    nodes.AssignBlock: "assignments are not allowed",
}


def check_tree(node: nodes.Node, depth: int = 0) -> None:
    """Refuse a syntax tree with anything in it that is not allowed."""
    if depth > MAX_TREE_DEPTH:
        raise TemplateSyntaxError("is nested too deeply", node.lineno)
    if type(node) not in _ALLOWED_NODES:
        word = type(node).__name__.lower()
        why = _WHY_NOT.get(type(node), f"'{word}' is not allowed in templates")
        raise TemplateSyntaxError(why, node.lineno)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateSyntaxError("recursive loops are not allowed", node.lineno)
    for child in node.iter_child_nodes():
        check_tree(child, depth + 1)


class _Bound(NodeTransformer):
    """Sends what Jinja would do unchecked (joining texts, looping) through our own filters."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's name
        first, *rest = [self.visit(child) for child in node.nodes]
        return nodes.Filter(first, "concat_", rest, [], None, None, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - as above
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "turns_", [], [], None, None, lineno=node.lineno)
        return node


def bound(tree: nodes.Template) -> nodes.Template:
    """The same template with its unchecked operations replaced by checked ones."""
    return _Bound().visit(tree)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment all templates share; see the module for its walls."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset()

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined, optimized=False, autoescape=False, finalize=bounds.as_text
        )
        self.globals.clear()
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b` is an entry of a mapping, never an attribute."""
        if isinstance(obj, LoopContext) and attribute in _LOOP_FACTS:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a[b]`: an entry of a mapping, or a position in a list or text."""
        bounds.defined(obj)
        if isinstance(obj, dict):
            if isinstance(argument, str | int | float | bool | None) and argument in obj:
                return obj[argument]
        elif isinstance(obj, list | tuple | str) and type(argument) is int:
            if -len(obj) <= argument < len(obj):
                return obj[argument]
        elif isinstance(obj, list | tuple | str) and isinstance(argument, slice):
            return obj[argument]
        return self.undefined(hint=_absent(obj, argument))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Operators, on values whose result cannot grow without bound."""
        bounds.BUDGET.get().tick(0)
        bounds.defined(left)
        bounds.defined(right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            _check_numbers(operator, left, right)
        elif operator != "+" or type(left) is not type(right):
            raise bounds.TooMuch(
                f"cannot do {bounds.kind_of(left)} {operator} {bounds.kind_of(right)}"
            )
        elif isinstance(left, str) and len(left) + len(right) > bounds.MAX_TEXT:
            raise bounds.TooMuch(f"makes a text of more than {bounds.MAX_TEXT} characters")
        elif isinstance(left, list) and len(left) + len(right) > bounds.MAX_ITEMS:
            raise bounds.TooMuch(f"makes a list of more than {bounds.MAX_ITEMS} entries")
        return bounds.small(super().call_binop(context, operator, left, right))


def _check_numbers(operator: str, left: float, right: float) -> None:
    if operator == "**" and (abs(right) > 64 or abs(left) > 10**6):
        raise bounds.TooMuch("makes a number that is too large")


def _absent(obj: Any, argument: Any) -> str:
    if isinstance(obj, dict):
        there = ", ".join(repr(str(key)) for key in list(obj)[:8]) or "nothing"
        return f"there is no {str(argument)[:80]!r} (there is: {there})"
    if isinstance(obj, list | tuple | str) and type(argument) is int:
        return f"there is no entry {argument} (there are {len(obj)})"
    return f"{bounds.kind_of(obj)} has no {str(argument)[:80]!r}"
