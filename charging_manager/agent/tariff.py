"""Prices and the forecast of the sun, kept up to date: made of the site's own tables, read from files, or fetched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.agent.config import Configuration
from charging_manager.agent.feed import PRICES, SUN, Fetch, ValueFeed
from charging_manager.agent.picture import Sentence
from charging_manager.agent.store import Change, ConfigStore
from charging_manager.clocks import UtcNow, zone
from charging_manager.model.outside import Prices, PriceSlot, SunSlot
from charging_manager.storage.files import write_private
from charging_manager.tariffs.book import gaps
from charging_manager.tariffs.files import read_file
from charging_manager.tariffs.plugins import PluginShelf
from charging_manager.tariffs.rows import Row, price_slots, sun_slots
from charging_manager.tariffs.settings import Source, SunSettings, TariffSettings
from charging_manager.tariffs.tables import made

EVERY_S = 30.0
BEFORE, DAYS = 3, 12
"""Tables are made from so many days ago on, for so many days."""

InThread = Callable[..., Awaitable[object]]


class TariffWatch:
    """What is known of prices and sun; ``prices`` and ``sun`` are the same objects as long as nothing changes."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        now: UtcNow,
        config: ConfigStore,
        plugins: PluginShelf,
        fetch: Fetch,
        folder: Path | None = None,
        inbox: Path | None = None,
        in_thread: InThread = maybeDeferred,
    ) -> None:
        self._clock, self._now, self._config = clock, now, config
        self.plugins = plugins
        self._inbox, self._in_thread = inbox, in_thread
        self.price_feed = ValueFeed(PRICES, PriceSlot, fetch, folder)
        self.sun_feed = ValueFeed(SUN, SunSlot, fetch, folder)
        self.prices = Prices()
        self.sun: tuple[SunSlot, ...] = ()
        self._made_for: tuple[object, ...] = ()
        self._loop = LoopingCall(self._look_guarded)
        self._loop.clock = clock

    def start(self) -> None:
        """Take up what was kept, and look from now on."""
        self.plugins.scan()
        for feed in (self.price_feed, self.sun_feed):
            feed.load()
        self._config.listen(self._configured)
        self._show()
        self._loop.start(EVERY_S).addErrback(
            lambda failure: self.log.failure("tariffs: the loop ended", failure=failure)
        )

    def stop(self) -> None:
        """Ask nobody any more."""
        if self._loop.running:
            self._loop.stop()

    def _configured(self, change: Change) -> None:
        before, after = change.before, change.after
        if evolve(before.tariff, gap_alarm=after.tariff.gap_alarm) != after.tariff:
            self.price_feed.forget()
        if evolve(before.sun_forecast, factor=after.sun_forecast.factor, house_w=after.sun_forecast.house_w) != (
            after.sun_forecast
        ):
            self.sun_feed.forget()
        if (before.tariff, before.sun_forecast, before.timezone) != (after.tariff, after.sun_forecast, after.timezone):
            self._show()
            self._look_guarded()

    def _look_guarded(self) -> None:
        """One look, which survives whatever goes wrong in it."""
        work = Deferred.fromCoroutine(self.look())
        work.addErrback(lambda failure: self.log.failure("tariffs could not be looked at", failure=failure))

    async def look(self) -> None:
        """Whatever is due now."""
        config, now_at, where = self._config.current, self._now(), self.zone
        tariff, sun = config.tariff, config.sun_forecast
        if tariff.source in (Source.FIXED, Source.TABLE):
            self._make(tariff, now_at, where)
        changed = []
        if tariff.source is Source.FILE and self._inbox is not None:
            if self.price_feed.look_into(self._inbox, now_at, lambda data: self.priced(read_file(data, where), tariff)):
                changed.append(self.price_feed)
        elif tariff.source is Source.HTTP and await self._ask_prices(tariff, now_at, where):
            changed.append(self.price_feed)
        if sun.source is Source.FILE and self._inbox is not None:
            if self.sun_feed.look_into(self._inbox, now_at, lambda data: sun_slots(read_file(data, where), 1.0)):
                await self._keep(self.sun_feed)
        elif sun.source is Source.HTTP and await self._ask_sun(sun, now_at, where):
            await self._keep(self.sun_feed)
        for feed in changed:
            await self._keep(feed)
        self._show()

    async def _ask_prices(self, tariff: TariffSettings, now_at: datetime, where: tzinfo) -> bool:
        return await self.price_feed.ask(
            tariff.feed,
            self.plugins.plugins,
            self._clock.seconds(),
            now_at,
            where,
            lambda rows, unit: price_slots(rows, tariff, unit),
        )

    async def _ask_sun(self, sun: SunSettings, now_at: datetime, where: tzinfo) -> bool:
        return await self.sun_feed.ask(sun.feed, self.plugins.plugins, self._clock.seconds(), now_at, where, sun_slots)

    def priced(self, rows: list[Row], tariff: TariffSettings) -> tuple[PriceSlot, ...]:
        """Rows of a file, which are per kWh. Raises: ConfigError."""
        return price_slots(rows, tariff, 1.0)

    async def uploaded(self, data: bytes, kind: str) -> int:
        """Take a file that came over the API. Raises: ConfigError naming the row."""
        rows = read_file(data, self.zone)
        if kind == "sun":
            slots = sun_slots(rows, 1.0)
            self.sun_feed.take(slots, self._now())
            await self._keep(self.sun_feed)
        else:
            self.price_feed.take(self.priced(rows, self._config.current.tariff), self._now())
            await self._keep(self.price_feed)
        self._show()
        return len(rows)

    @property
    def zone(self) -> tzinfo:
        return zone(self._config.current.timezone)

    def _make(self, tariff: TariffSettings, now_at: datetime, where: tzinfo) -> None:
        today = now_at.astimezone(where).date()
        wanted = (tariff, today, str(where))
        if wanted != self._made_for:
            self._made_for = wanted
            try:
                self.price_feed.slots = made(tariff, today - timedelta(days=BEFORE), DAYS, where)
            except OverflowError:  # the clock stands at the end of the calendar
                self.price_feed.slots = ()

    async def _keep(self, feed: ValueFeed[PriceSlot] | ValueFeed[SunSlot]) -> None:
        kept = feed.kept()
        if kept is None:
            return
        try:
            await self._in_thread(write_private, *kept)
        except OSError as error:
            self.log.warn("{file} cannot be written: {reason}", file=str(kept[0]), reason=str(error))

    def _show(self) -> None:
        """Bring what control sees in line with what is known."""
        config = self._config.current
        slots = self.price_feed.slots if config.tariff.source is not Source.NONE else ()
        prices = Prices(slots, config.tariff.currency)
        if prices != self.prices:
            self.prices = prices
        sun = config.sun_forecast
        known = self.sun_feed.slots if sun.source is not Source.NONE else ()
        likely = tuple(evolve(one, spare_w=max(0.0, one.power_w * sun.factor - sun.house_w)) for one in known)
        if likely != self.sun:
            self.sun = likely

    def alarms(self, config: Configuration) -> list[Sentence]:
        """What somebody should know of it."""
        found = []
        now_at = self._now()
        if config.tariff.source is not Source.NONE:
            if self.price_feed.trouble:
                found.append(
                    Sentence("tariff-failed", "Prices cannot be brought up to date; the page of the tariff says why.")
                )
            if not self.prices.slots or self.prices.slots[-1].end_at <= now_at:
                found.append(Sentence("no-prices", "No price is known; plans charge as early as they can."))
            elif config.tariff.gap_alarm:
                for start_at, end_at in gaps(self.prices.slots, now_at)[:1]:
                    fields = {"start": self._said(start_at), "end": self._said(end_at)}
                    found.append(
                        Sentence(
                            "price-gap",
                            "No price is known from {start} to {end}; it counts as the dearest that is known.",
                            fields,
                        )
                    )
        if config.sun_forecast.source is not Source.NONE and self.sun_feed.trouble:
            found.append(
                Sentence(
                    "sun-forecast-failed",
                    "The forecast of the sun cannot be brought up to date; the page of the tariff says why.",
                )
            )
        return found

    def _said(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M}"
