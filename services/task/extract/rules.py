"""Which table, list or labelled value of a page belongs to which part of a JSON schema. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import jsonschema

from services.task.domain import Reason, TaskFailure
from services.task.grounding import tokens

from .coerce import Unreadable, coerce, types_of

FITS = 0.55
_SHORT = {"no": "number", "nr": "number", "num": "number", "qty": "quantity", "amt": "amount",
          "desc": "description", "tel": "phone", "addr": "address", "pct": "percent"}  # fmt: skip
FILLER = frozenset("the a an of in for to from by all every each value text row rows list".split())


@dataclass(frozen=True)
class Value:
    """Words on the page, with the address they link to and what the page calls them."""

    keys: tuple[str, ...]
    text: str
    href: str = ""


@dataclass(frozen=True)
class Records:
    """Things of one kind: the rows of a table, or the items of a list."""

    said: str
    rows: list[list[Value]]
    is_table: bool
    in_navigation: bool = False

    @property
    def keys(self) -> list[str]:
        """What the page calls the values of a row."""
        return list(dict.fromkeys(key for row in self.rows[:20] for v in row for key in v.keys))


@dataclass(frozen=True)
class Content:
    """All data of a page."""

    url: str
    title: str
    records: list[Records]
    fields: list[Value]


def content_of(raw: dict[str, Any]) -> Content:
    """The data as the page script read it."""
    tables = []
    for table in raw["tables"]:
        headers = table["headers"]
        rows = [
            [_cell(headers, i, cell) for i, cell in enumerate(row)]
            for row in table["rows"]
            if not headers or len(row) == len(headers)
        ]
        tables.append(Records(f"{table['caption']} {table['heading']}", rows, is_table=True))
    lists = [
        Records(
            found["heading"],
            [_item(item) for item in found["items"]],
            is_table=False,
            in_navigation=found["in_navigation"],
        )
        for found in raw["lists"]
    ]
    fields = [Value((f["label"],), f["text"], f["href"]) for f in raw["fields"]]
    for table in tables:
        if len(table.rows) == 1:
            fields += [value for value in table.rows[0] if value.keys[0]]
    return Content(raw["url"], raw["title"], tables + lists, fields)


def extract(schema: dict[str, Any], content: Content, instruction: str = "") -> Any:
    """The page's data in the shape of `schema`, validated against it; or a reason why not."""
    found = _read(schema, content, instruction, "")
    if found is _NOTHING:
        raise _missing("the data", content)
    errors = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(found), key=lambda e: list(e.path)
    )
    if errors:
        where = ".".join(str(part) for part in errors[0].path) or "the data"
        raise TaskFailure(
            Reason.EXTRACTION_INVALID,
            f"what the page says does not fit the schema: {where}: {errors[0].message[:300]}",
        )
    return found


def likeness(wanted: str, key: str) -> float:
    """How well what the page calls a value fits what the schema calls it."""
    a, b = _canonical(wanted), _canonical(key)
    if not a or not b:
        return 1.0 if wanted.strip() and wanted.strip() == key.strip() else 0.0
    if a == b:
        return 1.0
    if set(a) == set(b):
        return 0.95
    common = set(a) & set(b)
    if common == set(a):
        return 0.6 + 0.3 * len(a) / len(b)
    if common == set(b):
        return 0.55 + 0.3 * len(b) / len(a)
    return 0.4 * len(common) / max(len(a), len(b))


_NOTHING: Any = object()


def _read(schema: dict[str, Any], content: Content, said: str, name: str) -> Any:
    types = types_of(schema)
    if "array" in types:
        return _read_array(schema, content, said, name)
    if "object" in types:
        return _read_object(schema, content, said)
    best = max(content.fields, key=lambda v: _fit(name, schema, v), default=None)
    if best is None or not name or _fit(name, schema, best) < FITS:
        return _NOTHING
    return _coerced(best, schema, name)


def _read_object(schema: dict[str, Any], content: Content, said: str) -> Any:
    found: dict[str, Any] = {}
    for name, part in schema.get("properties", {}).items():
        value = _read(part, content, f"{said} {name}", name)
        if value is not _NOTHING:
            found[name] = value
        elif name in schema.get("required", []):
            raise _missing(f'"{name}"', content)
        elif "null" in types_of(part):
            found[name] = None
    return found


def _read_array(schema: dict[str, Any], content: Content, said: str, name: str) -> Any:
    items = schema.get("items", {})
    if "object" in types_of(items):
        return _read_records(items, content, said)
    for records in sorted(content.records, key=lambda r: -about(r, said)):
        column = _column(records, name or said, items)
        if column is not _NOTHING:
            return column
    listed = [r for r in content.records if not r.is_table and not r.in_navigation]
    fitting = [r for r in listed if about(r, name or said) > 0] or (
        listed if len(listed) == 1 else []
    )
    if not fitting:
        return _NOTHING
    best = max(fitting, key=lambda r: about(r, said))
    return [_coerced(Value((name,), _whole(row), row[0].href), items, name) for row in best.rows]


def _read_records(items: dict[str, Any], content: Content, said: str) -> Any:
    wanted: dict[str, Any] = items.get("properties", {})
    required = set(items.get("required", wanted))
    scored: list[tuple[float, float, Records, dict[str, str]]] = []
    best_missing: tuple[int, str] = (10**6, "")
    for records in content.records:
        pairs = _pair(wanted, records.keys)
        missing = sorted(required - set(pairs))
        if missing:
            if pairs and (len(missing), missing[0]) < best_missing:
                best_missing = (len(missing), missing[0])
            continue
        fit = sum(_fit_key(n, wanted[n], key) for n, key in pairs.items()) / max(len(wanted), 1)
        fit += 0.05 * records.is_table - 0.3 * records.in_navigation
        scored.append((round(fit, 3), about(records, said), records, pairs))
    if not scored:
        if best_missing[1]:
            raise _missing(f'"{best_missing[1]}" of each item', content)
        return _NOTHING
    scored.sort(key=lambda s: (-s[0], -s[1]))
    first = scored[0]
    if len(scored) > 1 and scored[1][:2] == first[:2] and scored[1][2].rows != first[2].rows:
        names = " and ".join(f'"{s[2].said.strip()}"' for s in scored[:2])
        raise TaskFailure(
            Reason.EXTRACTION_INVALID,
            f"more than one table or list fits the schema ({names}); name one in the instruction",
        )
    return [_record(row, first[3], items, number) for number, row in enumerate(first[2].rows)]


def _record(row: list[Value], pairs: dict[str, str], items: dict[str, Any], number: int) -> Any:
    record: dict[str, Any] = {}
    for name, key in pairs.items():
        part = items["properties"][name]
        value = next((v for v in row if key in v.keys), None)
        if value is not None:
            record[name] = _coerced(value, part, f"{number}.{name}")
        elif "null" in types_of(part):
            record[name] = None
        elif name in items.get("required", []):
            raise TaskFailure(
                Reason.NOTHING_TO_EXTRACT, f'item {number + 1} on the page has no "{name}"'
            )
    return record


def _pair(wanted: dict[str, Any], keys: list[str]) -> dict[str, str]:
    """Each property with the one key that fits it best; a key serves one property."""
    fits = sorted(
        ((-_fit_key(name, part, key), i, name, key)
         for name, part in wanted.items() for i, key in enumerate(keys)),
    )  # fmt: skip
    pairs: dict[str, str] = {}
    for fit, _, name, key in fits:
        if -fit >= FITS and name not in pairs and key not in pairs.values():
            pairs[name] = key
    return {name: pairs[name] for name in wanted if name in pairs}


def _fit(name: str, schema: dict[str, Any], value: Value) -> float:
    return max((_fit_key(name, schema, key) for key in value.keys), default=0.0)


def _fit_key(name: str, schema: dict[str, Any], key: str) -> float:
    titles = [name, str(schema.get("title", ""))]
    best = max(likeness(title, key) for title in titles)
    if schema.get("description"):
        best = max(best, 0.9 * likeness(str(schema["description"]), key))
    return best


def _column(records: Records, name: str, items: dict[str, Any]) -> Any:
    if not records.is_table:
        return _NOTHING
    key = max(records.keys, key=lambda k: likeness(name, k), default="")
    if not key or likeness(name, key) < 0.75:
        return _NOTHING
    column = [value for row in records.rows for value in row if key in value.keys]
    return [_coerced(value, items, name) for value in column]


def _coerced(value: Value, schema: dict[str, Any], name: str) -> Any:
    try:
        return coerce(value.text, value.href, schema, name)
    except Unreadable as why:
        raise TaskFailure(
            Reason.EXTRACTION_INVALID, f"{name or 'the value'} cannot be read: {why}"
        ) from why


def about(records: Records, said: str) -> float:
    """How many words of the request the heading or caption of the records repeats."""
    wanted = {w for w in _canonical(said) if w not in FILLER}
    return len(wanted & set(_canonical(records.said))) / len(wanted) if wanted else 0.0


def _missing(what: str, content: Content) -> TaskFailure:
    labels = list(dict.fromkeys(v.keys[0] for v in content.fields if v.keys[0]))[:8]
    columns = [", ".join(r.keys[:8]) for r in content.records if r.is_table and r.keys][:3]
    there = [f"fields {', '.join(labels)}"] if labels else []
    there += [f"a table with {names}" for names in columns]
    seen = "; it has " + "; ".join(there) if there else ""
    return TaskFailure(Reason.NOTHING_TO_EXTRACT, f"the page shows nothing for {what}{seen}")


def _canonical(text: str) -> list[str]:
    words = tokens(re.sub(r"#", " number ", text))
    return [_singular(_SHORT.get(word, word)) for word in words]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _cell(headers: list[str], index: int, cell: dict[str, Any]) -> Value:
    key = headers[index] if index < len(headers) else f"column {index + 1}"
    return Value((key,), cell["text"], cell["href"])


def _item(item: dict[str, Any]) -> list[Value]:
    whole = Value(("text",), item["text"], item["href"])
    return [whole, *(Value(tuple(p["keys"]), p["text"], p["href"]) for p in item["parts"])]


def _whole(row: list[Value]) -> str:
    return row[0].text
