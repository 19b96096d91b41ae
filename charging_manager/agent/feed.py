"""One source of values over time, prices or sun: when to ask, what came of it, and what is kept across restarts."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Generic

from attrs import frozen
from twisted.logger import Logger

from charging_manager.agent.fetch import Asked, FetchError
from charging_manager.agent.picture import Sentence
from charging_manager.clocks import moment
from charging_manager.errors import ConfigError
from charging_manager.tariffs.book import Slot, from_json, laid_over, to_json
from charging_manager.tariffs.mapping import questions, read_rows
from charging_manager.tariffs.plugins import Plugins, check_values, filled
from charging_manager.tariffs.rows import Row
from charging_manager.tariffs.settings import UNITS, Feed, JsonMapping

OFTEN_S, SELDOM_S = 900.0, 6 * 3600.0
FIRST_RETRY_S, LAST_RETRY_S = 60.0, 3600.0
INBOX_LARGEST = 1024 * 1024

Fetch = Callable[[Asked], Awaitable[bytes]]
ToSlots = Callable[[list[Row], float], "tuple[Slot, ...]"]
"""Rows and the unit to slots. Raises: ConfigError."""


@frozen
class Named:
    """How a source is called: in files, in alarms and on the wire."""

    file: str
    code: str


PRICES = Named("prices", "tariff-failed")
SUN = Named("sun", "sun-forecast-failed")


class ValueFeed(Generic[Slot]):
    """The slots that are known, and the trouble with getting more."""

    log = Logger()

    def __init__(
        self, named: Named, kind: type[Slot], fetch: Fetch, folder: Path | None, chance: random.Random | None = None
    ) -> None:
        self.named, self._fetch = named, fetch
        self._kind: type[Slot] = kind
        self._file = folder / f"{named.file}.json" if folder is not None else None
        self._chance = chance or random.Random()  # noqa: S311 (spreads load, keeps no secret)
        self.slots: tuple[Slot, ...] = ()
        self.trouble: Sentence | None = None
        self.fetched_at: datetime | None = None
        self.next_try_s = 0.0
        self._failures = 0
        self._asking = False
        self._inbox: dict[Path, int] = {}

    def load(self) -> None:
        """What was kept when the program ended last."""
        if self._file is None or not self._file.exists():
            return
        try:
            self.slots = from_json(self._file.read_bytes(), self._kind)
        except (OSError, ConfigError) as error:
            self.log.warn("{file} is left out: {reason}", file=str(self._file), reason=str(error))

    def kept(self) -> tuple[Path, bytes] | None:
        """File and content, for whoever writes it."""
        return None if self._file is None else (self._file, to_json(self.slots))

    def forget(self) -> None:
        """Another tariff: nothing of the old one counts."""
        self.slots, self.trouble, self.fetched_at = (), None, None
        self.next_try_s, self._failures = 0.0, 0
        self._inbox = {}

    def take(self, slots: tuple[Slot, ...], now_at: datetime) -> None:
        """Lay these over what is known. Raises: ConfigError if they are over."""
        self.slots = laid_over(self.slots, slots, now_at)
        self.trouble, self.fetched_at = None, now_at

    def refuse(self, error: ConfigError) -> None:
        """Say why what came is not taken."""
        trouble = Sentence(self.named.code, error.template, dict(error.fields))  # type: ignore[arg-type]
        if trouble != self.trouble:
            self.log.warn("{what}: what came is not taken: {reason}", what=self.named.file, reason=error.sentence)
        self.trouble = trouble

    def look_into(self, inbox: Path, now_at: datetime, read: Callable[[bytes], tuple[Slot, ...]]) -> bool:
        """Take a file that was dropped in, if it is new. True: something is known now that was not before."""
        changed = False
        for suffix in (".csv", ".json", ".xml"):
            path = inbox / f"{self.named.file}{suffix}"
            try:
                stamp = path.stat().st_mtime_ns if path.is_file() else None
                if stamp is None or self._inbox.get(path) == stamp:
                    continue
                self._inbox[path] = stamp
                with path.open("rb") as file:
                    data = file.read(INBOX_LARGEST + 1)
                self.take(read(data), now_at)
                changed = True
            except OSError as error:
                self.refuse(ConfigError("", "the file {file} cannot be read", file=path.name))
                self.log.warn("{path} cannot be read: {reason}", path=str(path), reason=str(error))
            except ConfigError as error:
                self.refuse(error)
        return changed

    async def ask(
        self, feed: Feed, plugins: Plugins, now_s: float, now_at: datetime, where: tzinfo, make: ToSlots[Slot]
    ) -> bool:
        """Ask the provider, if it is time. True: something is known now that was not before."""
        if self._asking or now_s < self.next_try_s:
            return False
        self._asking = True
        try:
            mapping, values = meant(feed, plugins)
            came = await self._answers(mapping, values, feed.token, now_at, where, make)
            self._failures = 0
            self.next_try_s = now_s + self._until_next(mapping, now_at, where)
            return came
        except ConfigError as error:
            self.refuse(error)
        except FetchError as error:
            if self.trouble is None:
                self.log.warn("{what} cannot be fetched: {reason}", what=self.named.file, reason=str(error))
            self.trouble = Sentence(self.named.code, error.template, dict(error.fields))  # type: ignore[arg-type]
        finally:
            self._asking = False
        self._failures += 1
        wait_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 10))
        self.next_try_s = now_s + wait_s + self._chance.uniform(0.0, 0.5 * wait_s)
        return False

    async def _answers(
        self,
        mapping: JsonMapping,
        values: dict[str, str],
        token: str,
        now_at: datetime,
        where: tzinfo,
        make: ToSlots[Slot],
    ) -> bool:

        headers = {mapping.header: mapping.header_value.replace("{token}", token)} if mapping.header else {}
        fresh: list[Slot] = []
        today = now_at.astimezone(where).date()
        for question in questions(mapping, values, now_at, where):
            try:
                data = await self._fetch(Asked(question.url, headers, question.body))
            except FetchError as error:
                if question.day is not None and question.day > today and error.status in (204, 404):
                    continue  # tomorrow is not known yet
                raise
            fresh += make(read_rows(mapping, data), UNITS[mapping.unit])
        before = self.slots
        self.take(tuple(fresh), now_at)
        return self.slots != before

    def _until_next(self, mapping: JsonMapping, now_at: datetime, where: tzinfo) -> float:
        """Until tomorrow is known often, from when it should be; else seldom."""
        today = now_at.astimezone(where).date()
        midnight = moment(today + timedelta(days=2), time(0), where)
        known = bool(self.slots) and self.slots[-1].end_at >= midnight - timedelta(hours=2)
        published = moment(today, mapping.published, where)
        if known or now_at < published:
            if not known and self._kind.__name__ == "PriceSlot":
                wait_s = min(SELDOM_S, (published - now_at).total_seconds())
            else:
                wait_s = SELDOM_S
        else:
            wait_s = OFTEN_S
        return wait_s + self._chance.uniform(10.0, 300.0)


def meant(feed: Feed, plugins: Plugins) -> tuple[JsonMapping, dict[str, str]]:
    """The mapping of a feed, and what fills its places. Raises: ConfigError."""
    if feed.mapping is not None:
        return feed.mapping, dict(feed.values)
    plugin = plugins.known.get(feed.plugin)
    if plugin is None:
        raise ConfigError("plugin", "there is no provider {name}", name=repr(feed.plugin))
    check_values(plugin, feed.values, "values")
    if plugin.needs_token and not feed.token:
        raise ConfigError("token", "{name} needs a token", name=plugin.title)
    return plugin.request, filled(plugin, feed.values)
