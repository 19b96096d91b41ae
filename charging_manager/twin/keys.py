"""Reading a TOML file with key paths: what is missing, of another kind, absurd or unknown is named with its remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from datetime import date, time
from typing import Any

from charging_manager.errors import ConfigError

_NONE = object()
MOST_ROWS = 1000
"""In one table of a scenario."""


class Keys:
    """One table. Every key that is asked for counts as known; ``done`` refuses the others."""

    def __init__(self, table: Mapping[str, Any], path: str = "") -> None:
        self._table, self.path = table, path
        self._known: set[str] = set()

    def where(self, key: str) -> str:
        """The key path of a key in this table."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether it is given; it counts as known then."""
        self._known.add(key)
        return key in self._table

    def _take(self, key: str, otherwise: Any) -> Any:
        self._known.add(key)
        if key not in self._table:
            if otherwise is _NONE:
                raise ConfigError(self.where(key), "is missing; it must be given")
            return otherwise
        return self._table[key]

    def maybe(self, key: str, *, most: float = 1e9) -> float | None:
        """A finite number from 0 on, or None where nothing is given."""
        return self.number(key, most=most) if self.has(key) else None

    def number(self, key: str, otherwise: Any = _NONE, *, least: float = 0.0, most: float = 1e9) -> float:
        """A finite number between these."""
        value = self._take(key, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(self.where(key), f"must be a number from {least:g} to {most:g}, not {value!r}")
        if not least <= value <= most:
            raise ConfigError(self.where(key), f"is {value:g}; it must be a number from {least:g} to {most:g}")
        return float(value)

    def whole(self, key: str, otherwise: Any = _NONE, *, least: int = 0, most: int = 1000) -> int:
        """A whole number between these."""
        value = self.number(key, otherwise, least=least, most=most)
        if value != int(value):
            raise ConfigError(self.where(key), f"is {value:g}; it must be a whole number")
        return int(value)

    def three(self, key: str, *, most: float = 100_000.0) -> tuple[float, float, float]:
        """One number for all phases, or a list of three."""
        value = self._take(key, _NONE)
        if not isinstance(value, list):
            one = self.number(key, most=most)
            return one, one, one
        if len(value) != 3:
            raise ConfigError(self.where(key), "must be one number of amperes, or three: one for each of L1, L2, L3")
        row = Keys({str(i + 1): each for i, each in enumerate(value)}, self.where(key))
        return row.number("1", most=most), row.number("2", most=most), row.number("3", most=most)

    def text(self, key: str, otherwise: Any = _NONE, *, among: Collection[str] | None = None) -> str:
        """A text, perhaps one of a few."""
        value = self._take(key, otherwise)
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            raise ConfigError(self.where(key), f"must be a text of 1 to 200 characters, not {value!r}")
        if among is not None and value not in among:
            raise ConfigError(self.where(key), f"is {value!r}; it must be one of {', '.join(among)}")
        return value

    def yes(self, key: str, otherwise: bool = False) -> bool:
        """true or false."""
        value = self._take(key, otherwise)
        if not isinstance(value, bool):
            raise ConfigError(self.where(key), f"must be true or false, not {value!r}")
        return value

    def clock(self, key: str, otherwise: Any = _NONE) -> time:
        """A time of the day: "07:30", or TOML's own 07:30:00."""
        value = self._take(key, otherwise)
        if isinstance(value, time):
            return value
        try:
            return time.fromisoformat(value)
        except (TypeError, ValueError):
            raise ConfigError(self.where(key), f'must be a time of the day like "07:30", not {value!r}') from None

    def day(self, key: str, otherwise: Any = _NONE) -> date:
        """A date: 2026-03-02."""
        value = self._take(key, otherwise)
        if type(value) is date and 2000 <= value.year <= 2100:
            return value
        raise ConfigError(
            self.where(key), f"must be a date from 2000 to 2100 like 2026-03-02, without quotes, not {value}"
        )

    def texts(self, key: str, otherwise: Any = _NONE, *, among: Collection[str] | None = None) -> tuple[str, ...]:
        """A list of texts, each once."""
        value = self._take(key, otherwise)
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise ConfigError(self.where(key), f"must be a list of texts, not {value!r}")
        for each in value:
            if among is not None and each not in among:
                raise ConfigError(self.where(key), f"has {each!r}; possible are {', '.join(among)}")
        if len(set(value)) != len(value):
            raise ConfigError(self.where(key), "names something twice; name each once")
        return tuple(value)

    def words(self, key: str, otherwise: tuple[str, ...], *, among: Collection[str]) -> tuple[str, ...]:
        """One text or a list of texts, which may repeat."""
        value = self._take(key, otherwise)
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not value or not all(each in among for each in value):
            raise ConfigError(self.where(key), f"must be one or a list of {', '.join(among)}, not {value!r}")
        return tuple(value)

    def phases(self, key: str) -> tuple[int, ...]:
        """Phases as people count them, 1 to 3; as the model does, 0 to 2."""
        value = self._take(key, [1, 2, 3])
        if (
            not isinstance(value, list)
            or len(value) not in (1, 3)
            or any(type(each) is not int or not 1 <= each <= 3 for each in value)
            or len(set(value)) != len(value)
        ):
            raise ConfigError(self.where(key), "must be one phase, as [2], or all three in their order, as [2, 3, 1]")
        return tuple(each - 1 for each in value)

    def table(self, key: str) -> Keys | None:
        """A table inside, if there is one."""
        value = self._take(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ConfigError(self.where(key), f"must be a table: write [{self.where(key)}] above its keys")
        return Keys(value, self.where(key))

    def rows(self, key: str) -> Iterator[Keys]:
        """A list of tables, in order."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise ConfigError(self.where(key), f"must be a list of tables: write [[{self.where(key)}]] above each")
        if len(value) > MOST_ROWS:
            raise ConfigError(self.where(key), f"has {len(value)} tables; {MOST_ROWS} are the most")
        for number, each in enumerate(value, 1):
            yield Keys(each, f"{self.where(key)}[{number}]")

    def done(self) -> None:
        """Raises: ConfigError for the first key that nobody asked for."""
        for key in self._table:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known here are {', '.join(sorted(self._known))}"
                raise ConfigError(self.where(key), f"is not known; {hint}")
