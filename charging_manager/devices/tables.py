"""A TOML table that is read key by key and remembers everything that was wrong with it, by key path."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from attrs import define, field

from charging_manager.devices.reasons import FORBIDDEN, MISSING, UNKNOWN_WORD, WRONG_TYPE, Reason

E = TypeVar("E", bound=StrEnum)
Shape = Mapping[str, Any]
"""What may stand at a key, as a piece of JSON Schema."""

TEXT: Shape = {"type": "string", "pattern": "\\S"}
NUMBER: Shape = {"type": "number"}
WHOLE: Shape = {"type": "integer"}


def one_or_more(shape: Shape) -> Shape:
    """One of these, or a list of them."""
    return {"anyOf": [shape, {"type": "array", "items": shape}]}


MOST_PROBLEMS = 100
"""Who has so many mends some first; nobody shall be kept waiting by a file of nothing but mistakes."""


class EnoughProblems(Exception):
    """There is no use in looking on."""


@define
class Problems:
    """What is wrong with one driver file, each as (key path, sentence), and why that matters.

    Raises: EnoughProblems in the middle of reading, when there are too many.
    """

    found: list[tuple[str, str]] = field(factory=list)
    reasons: dict[tuple[str, str], Reason] = field(factory=dict)

    def add(self, where: str, sentence: str, reason: Reason | None = None) -> None:
        """Remember it once."""
        if (where, sentence) not in self.found:
            self.found.append((where, sentence))
            if reason is not None:
                self.reasons[where, sentence] = reason
            if len(self.found) >= MOST_PROBLEMS:
                raise EnoughProblems


def closest(word: str, words: Mapping[str, object] | frozenset[str] | set[str]) -> str:
    """'; did you mean ...?' or nothing."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Table:
    """One table of the file. Every getter marks its key as known and falls back to the default when it is wrong.

    Nothing but these getters says what words there are: ``vocabulary`` lets the same parser ask a table that writes
    down what it is asked for. So a value that no getter describes is taken by ``raw`` or ``items`` with its shape.
    """

    def __init__(self, data: Mapping[str, Any], where: str, problems: Problems) -> None:
        self._data = data
        self._asked: set[str] = set()
        self.where = where
        self.problems = problems

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def path(self, key: str) -> str:
        """The full key path of ``key``."""
        return f"{self.where}.{key}" if self.where else key

    def wrong(self, key: str, sentence: str, reason: Reason | None = None) -> None:
        """Something about this key cannot work."""
        self.problems.add(self.path(key), sentence, reason)

    def mistyped(self, key: str, sentence: str) -> None:
        """The value is not of the kind that is needed, or is missing."""
        self.wrong(key, sentence, WRONG_TYPE if key in self else MISSING)

    def without(self, key: str, sentence: str) -> None:
        """This word does not go together with another one."""
        if key in self:
            self.wrong(key, sentence, FORBIDDEN)

    def raw(self, key: str, shape: Shape) -> Any:
        """The value as TOML gave it, or None. Who calls this holds it to the shape."""
        self._asked.add(key)
        return self._data.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty text; required if there is no default."""
        value = self.raw(key, TEXT)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is not None or default is None:
            self.mistyped(key, "a text is needed here")
        return default or ""

    def maybe_text(self, key: str) -> str | None:
        """A text or None."""
        return self.text(key, "") or None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        value = self.raw(key, one_or_more(TEXT))
        if value is None:
            return ()
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) and item.strip() for item in items):
            return tuple(items)
        self.mistyped(key, "a list of texts is needed here")
        return ()

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self.raw(key, {"type": "boolean"})
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.mistyped(key, "true or false is needed here")
        return default

    def maybe_number(self, key: str) -> float | None:
        """A finite number or None."""
        value = self.raw(key, NUMBER)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        self.mistyped(key, "a number is needed here")
        return None

    def number(self, key: str, default: float | None = None, *, lowest: float | None = None) -> float:
        """A finite number, required if there is no default."""
        value = self.maybe_number(key)
        if value is None:
            if key not in self._data and default is None:
                self.mistyped(key, "a number is needed here")
            return default or 0.0
        if lowest is not None and value < lowest:
            self.mistyped(key, f"{lowest:g} or more is needed here")
        return value

    def maybe_whole(self, key: str) -> int | None:
        """A whole number or None."""
        value = self.raw(key, WHOLE)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self.mistyped(key, "a whole number is needed here")
        return None

    def whole(self, key: str, default: int | None = None, *, lowest: int = 0, highest: int = 65535) -> int:
        """A whole number between the bounds, required if there is no default."""
        value = self.maybe_whole(key)
        if value is None:
            if key not in self._data and default is None:
                self.mistyped(key, "a whole number is needed here")
            return default or 0
        if not lowest <= value <= highest:
            self.mistyped(key, f"a whole number from {lowest} to {highest} is needed here")
            return default or lowest
        return value

    def wholes(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; one alone is a list of one."""
        value = self.raw(key, one_or_more(WHOLE))
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            return tuple(items)
        self.mistyped(key, "a list of whole numbers is needed here")
        return ()

    def choice(self, key: str, words: type[E], default: E | None = None) -> E:
        """One of the words of an enumeration."""
        known = [str(word) for word in words]
        if key not in self and default is not None:
            self.raw(key, {"enum": known})
            return default
        value = self.word(key, known)
        return words(value) if value in known else default or next(iter(words))

    def maybe_choice(self, key: str, words: type[E]) -> E | None:
        """One of the words of an enumeration, or None."""
        value = self.word(key, [str(word) for word in words], "")
        return words(value) if value else None

    def word(self, key: str, words: Sequence[str], default: str | None = None) -> str:
        """One of these words, required if there is no default."""
        value = self.raw(key, {"enum": list(words)})
        if value in words and isinstance(value, str):
            return value
        if value is not None or default is None:
            near = closest(str(value), set(words)) if value is not None else ""
            self.mistyped(key, f"one of {', '.join(sorted(words))} is needed here{near}")
        return default or ""

    def table(self, key: str, *, needed: str | None = None) -> Table | None:
        """A table inside this one, or None; ``needed`` says what is missing without it."""
        value = self.raw(key, {"type": "object"})
        if isinstance(value, Mapping):
            return Table(value, self.path(key), self.problems)
        if value is not None or needed is not None:
            self.mistyped(key, needed if needed and value is None else "a table is needed here")
        return None

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of a list; one table alone is a list of one."""
        value = self.raw(key, one_or_more({"type": "object"}))
        items = value if isinstance(value, list) else [] if value is None else [value]
        for number, item in enumerate(items, 1):
            if isinstance(item, Mapping):
                yield Table(
                    item, f"{self.path(key)}[{number}]" if isinstance(value, list) else self.path(key), self.problems
                )
            else:
                self.mistyped(key, "a table is needed here")

    def named_tables(self) -> Iterator[tuple[str, Table]]:
        """Every entry of this table, all of which must be tables."""
        for key in self._data:
            inner = self.table(key)
            if inner is not None:
                yield key, inner

    def items(self, shape: Shape) -> Iterator[tuple[str, Any]]:
        """Every entry as TOML gave it, in the file's order."""
        for key in self._data:
            yield key, self.raw(key, shape)

    def done(self) -> None:
        """Everything that nobody asked for is a mistake, usually of spelling."""
        for key in self._data:
            if key not in self._asked:
                self.wrong(key, f"there is no such word here{closest(key, self._asked)}", UNKNOWN_WORD)


def merged_tables(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The one table with what is different in the other, table by table."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = merged_tables(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
