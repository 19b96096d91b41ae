"""A TOML table that is read key by key and remembers everything that was wrong with it, by key path."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from attrs import define, field

E = TypeVar("E", bound=StrEnum)


@define
class Problems:
    """What is wrong with one driver file, each as (key path, sentence)."""

    found: list[tuple[str, str]] = field(factory=list)

    def add(self, where: str, sentence: str) -> None:
        """Remember it once."""
        if (where, sentence) not in self.found:
            self.found.append((where, sentence))


def closest(word: str, words: Mapping[str, object] | frozenset[str] | set[str]) -> str:
    """'; did you mean ...?' or nothing."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Table:
    """One table of the file. Every getter marks its key as known and falls back to the default when it is wrong."""

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

    def wrong(self, key: str, sentence: str) -> None:
        """Something about this key cannot work."""
        self.problems.add(self.path(key), sentence)

    def raw(self, key: str) -> Any:
        """The value as TOML gave it, or None."""
        self._asked.add(key)
        return self._data.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty text; required if there is no default."""
        value = self.raw(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is not None or default is None:
            self.wrong(key, "a text is needed here")
        return default or ""

    def maybe_text(self, key: str) -> str | None:
        """A text or None."""
        return self.text(key, "") or None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        value = self.raw(key)
        if value is None:
            return ()
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) and item.strip() for item in items):
            return tuple(items)
        self.wrong(key, "a list of texts is needed here")
        return ()

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.wrong(key, "true or false is needed here")
        return default

    def maybe_number(self, key: str) -> float | None:
        """A finite number or None."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        self.wrong(key, "a number is needed here")
        return None

    def number(self, key: str, default: float | None = None, *, lowest: float | None = None) -> float:
        """A finite number, required if there is no default."""
        value = self.maybe_number(key)
        if value is None:
            if key not in self._data and default is None:
                self.wrong(key, "a number is needed here")
            return default or 0.0
        if lowest is not None and value < lowest:
            self.wrong(key, f"{lowest:g} or more is needed here")
        return value

    def maybe_whole(self, key: str) -> int | None:
        """A whole number or None."""
        value = self.raw(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self.wrong(key, "a whole number is needed here")
        return None

    def whole(self, key: str, default: int | None = None, *, lowest: int = 0, highest: int = 65535) -> int:
        """A whole number between the bounds, required if there is no default."""
        value = self.maybe_whole(key)
        if value is None:
            if key not in self._data and default is None:
                self.wrong(key, "a whole number is needed here")
            return default or 0
        if not lowest <= value <= highest:
            self.wrong(key, f"a whole number from {lowest} to {highest} is needed here")
            return default or lowest
        return value

    def wholes(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers; one alone is a list of one."""
        value = self.raw(key)
        if value is None:
            return ()
        items = value if isinstance(value, list) else [value]
        if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            return tuple(items)
        self.wrong(key, "a list of whole numbers is needed here")
        return ()

    def choice(self, key: str, words: type[E], default: E | None = None) -> E:
        """One of the words of an enumeration."""
        value = self.raw(key)
        try:
            return words(value) if value is not None or default is None else default
        except ValueError:
            known = {str(word) for word in words}
            self.wrong(key, f"one of {', '.join(sorted(known))} is needed here{closest(str(value), known)}")
            return default or next(iter(words))

    def table(self, key: str) -> Table | None:
        """A table inside this one, or None."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, Mapping):
            return Table(value, self.path(key), self.problems)
        self.wrong(key, "a table is needed here")
        return None

    def tables(self, key: str) -> Iterator[Table]:
        """The tables of a list; one table alone is a list of one."""
        value = self.raw(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        for number, item in enumerate(items, 1):
            if isinstance(item, Mapping):
                yield Table(
                    item, f"{self.path(key)}[{number}]" if isinstance(value, list) else self.path(key), self.problems
                )
            else:
                self.wrong(key, "a table is needed here")

    def named_tables(self) -> Iterator[tuple[str, Table]]:
        """Every entry of this table, all of which must be tables."""
        for key in self._data:
            inner = self.table(key)
            if inner is not None:
                yield key, inner

    def items(self) -> Iterator[tuple[str, Any]]:
        """Every entry as TOML gave it, in the file's order."""
        for key in self._data:
            yield key, self.raw(key)

    def done(self) -> None:
        """Everything that nobody asked for is a mistake, usually of spelling."""
        for key in self._data:
            if key not in self._asked:
                self.wrong(key, f"there is no such word here{closest(key, self._asked)}")
