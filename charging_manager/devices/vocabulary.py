"""The words of the format as a JSON Schema, for editors: what the parser asks for, written down by a table of its own.

Nothing is said twice: ``Asked`` is a table that holds every word and notes what kind of value it was asked for; the
parser reads it like any other. What a word means stands in docs/drivers.md; ``with_meanings`` takes it from there into
``driver.schema.json``, the file that is shipped (``docs/driver_schema.py`` writes it, and a test compares).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from charging_manager.devices.parse import FORMAT, ROADS, read_table
from charging_manager.devices.reasons import Reason
from charging_manager.devices.tables import E, Problems, Shape, Table

DRAFT = "http://json-schema.org/draft-07/schema#"
SHIPPED = "driver.schema.json"


class Asked(Table):
    """A table that has every word but ``absent``, with a harmless value, and writes down what it is asked for."""

    def __init__(self, where: str = "", absent: frozenset[str] = frozenset()) -> None:
        super().__init__({}, where, Problems())
        self._absent = absent
        self._shapes: dict[str, dict[str, Any]] = {}
        self._inner: dict[str, tuple[Asked, bool]] = {}
        self._needed: set[str] = set()
        self._others: Shape | Asked | bool = True

    def schema(self) -> dict[str, Any]:
        """What was asked for, as JSON Schema."""
        properties: dict[str, Any] = {}
        for key, shape in self._shapes.items():
            inner, several = self._inner.get(key, (None, False))
            if inner is None:
                properties[key] = dict(shape)
            elif several:
                one = inner.schema()
                properties[key] = {"anyOf": [one, {"type": "array", "items": one}]}
            else:
                properties[key] = {**shape, **inner.schema()}
        others = self._others.schema() if isinstance(self._others, Asked) else self._others
        made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": others}
        if self._needed:
            made["required"] = sorted(self._needed)
        return made

    def __contains__(self, key: str) -> bool:
        return key not in self._absent

    def wrong(self, key: str, sentence: str, reason: Reason | None = None) -> None:
        """Nothing is wrong with a table that is only asked."""

    def without(self, key: str, sentence: str) -> None:
        self._absent |= {key}
        self._shapes.pop(key, None)
        self._needed.discard(key)

    def _ask(self, key: str, shape: Shape, *, needed: bool = False) -> None:
        if key in self:
            self._shapes[key] = {**self._shapes.get(key, {}), **shape}
            if needed:
                self._needed.add(key)

    def raw(self, key: str, shape: Shape) -> Any:
        self._ask(key, shape)
        return None

    def text(self, key: str, default: str | None = None) -> str:
        super().text(key, default)
        self._ask(key, {}, needed=default is None)
        return default or "/{value}"

    def maybe_text(self, key: str) -> str | None:
        self.text(key, "")
        return "/{value}"

    def number(self, key: str, default: float | None = None, *, lowest: float | None = None) -> float:
        super().number(key, default, lowest=lowest)
        self._ask(key, {} if lowest is None else {"minimum": lowest}, needed=default is None)
        return default or lowest or 1.0

    def whole(self, key: str, default: int | None = None, *, lowest: int = 0, highest: int = 65535) -> int:
        super().whole(key, default, lowest=lowest, highest=highest)
        self._ask(key, {"minimum": lowest, "maximum": highest}, needed=default is None)
        return default or lowest or 1

    def choice(self, key: str, words: type[E], default: E | None = None) -> E:
        self.word(key, [str(word) for word in words], None if default is None else str(default))
        return default or next(iter(words))

    def maybe_choice(self, key: str, words: type[E]) -> E | None:
        self.word(key, [str(word) for word in words], "")
        return None

    def word(self, key: str, words: Sequence[str], default: str | None = None) -> str:
        self._ask(key, {"enum": list(words)}, needed=default is None)
        return default or words[0]

    def table(self, key: str, *, needed: str | None = None) -> Table | None:
        if key not in self:
            return None
        self._ask(key, {}, needed=needed is not None)
        return self._inside(key, several=False)

    def tables(self, key: str) -> Iterator[Table]:
        if key in self:
            self._ask(key, {})
            yield self._inside(key, several=True)

    def named_tables(self) -> Iterator[tuple[str, Table]]:
        self._others = Asked(self.path("*"))
        yield "*", self._others

    def items(self, shape: Shape) -> Iterator[tuple[str, Any]]:
        self._others = shape
        return iter(())

    def done(self) -> None:
        if self._others is True:
            self._others = False

    def _inside(self, key: str, *, several: bool) -> Asked:
        if key not in self._inner:
            self._inner[key] = (Asked(self.path(key) + ("[]" if several else "")), several)
        return self._inner[key][0]


def vocabulary(reference: str = "") -> dict[str, Any]:
    """The JSON Schema of a driver's table, with the meanings of ``reference`` (docs/drivers.md) where it has them."""
    known = meanings(reference)
    roads = {road: _asked(road, known) for road in (None, *ROADS)}
    names = {name for road in roads.values() for name in road["properties"]}
    common: dict[str, Any] = {}
    for name in sorted(names):
        shapes = [road["properties"][name] for road in roads.values() if name in road["properties"]]
        different = [shape for at, shape in enumerate(shapes) if shape not in shapes[:at]]
        common[name] = different[0] if len(different) == 1 else {"anyOf": different}
        if len(different) > 1 and "description" in different[0]:
            common[name]["description"] = different[0]["description"]
    return {
        "$schema": DRAFT,
        "title": f"A driver of Charging Manager, version {FORMAT} of the format",
        "type": "object",
        "properties": common,
        "additionalProperties": False,
        "required": roads[None]["required"],
        "allOf": [_where(road, schema, common) for road, schema in roads.items()],
    }


def shipped_schema() -> str:
    """The text of the schema that comes with the program, with meanings."""
    return (files("charging_manager.devices") / SHIPPED).read_text(encoding="utf-8")


def _asked(road: str | None, known: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    table = Asked(absent=frozenset(ROADS) - {road})
    read_table(table, "driver", None)
    schema = table.schema()
    change = {**_loosened(schema), "description": known.get("[[variant]]", {}).get("change", "")}
    for of, word, shape in words_of(schema):
        meaning = _meaning(known, of, word, road)
        if meaning:
            shape["description"] = meaning
    if "variant" in schema["properties"]:
        one, several = schema["properties"]["variant"]["anyOf"]
        one["properties"] = several["items"]["properties"] = {**one["properties"], "change": change}
    return schema


def _meaning(known: Mapping[str, Mapping[str, str]], of: str, word: str, road: str | None) -> str | None:
    names = (f"{heading(of)} with [{road}]", heading(of)) if road else (heading(of),)
    return next((known[name][word] for name in names if word in known.get(name, ())), None)


def heading(of: str) -> str:
    """How docs/drivers.md calls the table at this key path."""
    if (of.endswith(".*") and of not in ("registers.*", "settings.*")) or of in ("unlike.is",):
        return "a condition"
    lists = ("state", "unlike", "never", "recover", "variant")
    named = {
        "": "the file",
        "registers.*": "[registers]",
        "unlike.read": "[registers]",
        "settings.*": "[settings.NAME]",
    }
    if of.endswith(".set"):
        return "set"
    return named.get(of) or (f"[[{of}]]" if of in lists else f"[{of}]")


def _where(road: str | None, schema: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """On this road, only its words stand in a table, and these values have their own shape."""
    present = {"required": [road]} if road else {"not": {"anyOf": [{"required": [other]} for other in ROADS]}}
    own = {name: shape for name, shape in schema["properties"].items() if shape != common[name] and name != "variant"}
    foreign = {name: False for name in common if name not in schema["properties"]}
    return {"if": present, "then": {"properties": {**own, **foreign}}}


def _loosened(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same words, none of which must be there: what a variant changes."""

    def loose(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: loose(inner) for key, inner in value.items() if key != "required"}
        return [loose(inner) for inner in value] if isinstance(value, list) else value

    made: dict[str, Any] = loose(schema)
    made["properties"].pop("variant", None)
    return {**made, "minProperties": 1}


_TABLE = re.compile(r"^\| key of (?P<of>[^|]+?) \|[^\n]*\n\|[-| ]+\n(?P<rows>(?:\|[^\n]*\n)+)", re.MULTILINE)


def meanings(reference: str) -> dict[str, dict[str, str]]:
    """What docs/drivers.md says of every word, by the table that it stands in (``key of [bus]`` in the head)."""
    found: dict[str, dict[str, str]] = {}
    for table in _TABLE.finditer(reference):
        words = found.setdefault(table["of"].replace("`", ""), {})
        for row in table["rows"].splitlines():
            head, meaning, *default = (cell.strip() for cell in row.strip("|").split(" | "))
            names = re.findall(r"`([^`]+)`", head)
            without = default[0].split(", ") if default and default[0] else []
            for name, other in zip(
                names, without if len(without) == len(names) else [", ".join(without)] * len(names), strict=True
            ):
                words[name] = _plain(meaning) + _without(_plain(other))
    return found


def _without(default: str) -> str:
    if not default:
        return ""
    return f" ({default})" if default == "needed" else f" (without it: {default})"


def _plain(text: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]+\)|[`*]", lambda found: found[1] or "", text).strip()


def words_of(schema: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every word of a schema: the table that it stands in, its name, and its own schema."""
    for key, inner in (*schema.get("properties", {}).items(), ("*", schema.get("additionalProperties"))):
        if isinstance(inner, dict):
            if key != "*":
                yield of, key, inner
            yield from words_of(inner, f"{of}.{key}" if of else key)
    for inner in (*schema.get("anyOf", ()), *([schema["items"]] if isinstance(schema.get("items"), dict) else ())):
        yield from words_of(inner, of)
    for rule in schema.get("allOf", ()):
        yield from words_of(rule["then"], of)
