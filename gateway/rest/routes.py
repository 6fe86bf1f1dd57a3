"""Which RPC a request means: the path templates of `google.api.http`, compiled once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.catalog import Binding, Method

VARIABLE = re.compile(r"\{([^{}=]+)(?:=([^{}]*))?\}")
# A colon begins a verb ("…/{run_id}:cancel"), so a value that has one must send it as %3A.
WILDCARDS = {"*": "[^/:]+", "**": "[^:]+"}


@dataclass(frozen=True)
class Route:
    """One template of one RPC."""

    method: Method
    binding: Binding
    pattern: re.Pattern[str]
    variables: tuple[str, ...]  # field paths: "run_id", "endpoint.endpoint_id"
    many_segments: bool


@dataclass(frozen=True)
class Match:
    """A route and the values that the path gives its variables."""

    route: Route
    values: dict[str, str]


class NoRoute(Exception):
    """Nothing is at this path, or nothing for this verb; `allowed` holds the verbs there are."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        super().__init__("no such path" if not allowed else "no such method at this path")
        self.allowed = allowed


class Routes:
    """The table of every route, with literal segments before variables."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self.all = tuple(compiled(m, binding) for m in methods for binding in m.bindings)
        self._by_length: dict[int, list[Route]] = defaultdict(list)
        self._any_length: list[Route] = []
        seen: dict[tuple[str, str], str] = {}
        for route in sorted(self.all, key=lambda route: len(route.variables)):
            shape = (route.binding.verb, VARIABLE.sub("{}", route.binding.template))
            if shape in seen:
                raise ValueError(f"{route.method.rpc.path} and {seen[shape]} share {shape}")
            seen[shape] = route.method.rpc.path
            if route.many_segments:
                self._any_length.append(route)
            else:
                self._by_length[route.binding.template.count("/")].append(route)

    def find(self, verb: str, path: str) -> Match:
        """The route of a raw (still percent-encoded) path; NoRoute when there is none."""
        allowed: set[str] = set()
        for route in (*self._by_length.get(path.count("/"), ()), *self._any_length):
            matched = route.pattern.fullmatch(path)
            if not matched:
                continue
            if route.binding.verb == verb:
                return Match(route, _decoded(route.variables, matched.groups()))
            allowed.add(route.binding.verb)
        raise NoRoute(tuple(sorted(allowed)))


def compiled(method: Method, binding: Binding) -> Route:
    """One template as a regular expression."""
    pattern, position, variables = "", 0, []
    for found in VARIABLE.finditer(binding.template):
        pattern += re.escape(binding.template[position : found.start()])
        pattern += f"({_segments(found.group(2) or '*')})"
        variables.append(found.group(1))
        position = found.end()
    pattern += re.escape(binding.template[position:])
    return Route(method, binding, re.compile(pattern), tuple(variables), "**" in binding.template)


def _segments(template: str) -> str:
    """The expression for what a variable may hold: "*", "**" or "folders/*"."""
    return "/".join(WILDCARDS.get(part) or re.escape(part) for part in template.split("/"))


def _decoded(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    try:
        return {
            name: unquote_to_bytes(value).decode() if "%" in value else value
            for name, value in zip(names, values, strict=True)
        }
    except UnicodeDecodeError:
        raise NoRoute from None
