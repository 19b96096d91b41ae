"""Which installations are here now: admits their tunnels, and writes down when they came and went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.clocks import UtcNow
from charging_manager.cloud.accounts import Accounts, Sighting
from charging_manager.cloud.installation import why_not
from charging_manager.cloud.ledger import Ledger, Passage
from charging_manager.errors import TunnelError
from charging_manager.http.routes import Problem
from charging_manager.storage.database import DatabaseGone
from charging_manager.tunnel.reasons import Refusal
from charging_manager.tunnel.scram import ScramVerifier

log = Logger()

WRITE_EVERY_S = 2.0
"""Thousands of agents may come back at once: their passages are written together, not one by one."""
_MOST_WAITING = 100_000
SIGHT_EVERY_S = 60.0
"""So old is ``last_seen_at`` at most after a ``kill -9``."""


@contextmanager
def _busy_while_gone() -> Iterator[None]:
    """Agents are told to ask again; nothing is said about their password. Raises: Refusal."""
    try:
        yield
    except DatabaseGone as error:
        raise Refusal("busy") from error


def version_in(program: str) -> str:
    """The version in how an agent introduced itself, ``charging-manager 1.2.3``."""
    return program.removeprefix("charging-manager ")


class SiteLink(Protocol):
    """What this module needs of a tunnel."""

    @property
    def cloud_id(self) -> str: ...

    @property
    def program(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def bytes_in(self) -> int: ...

    @property
    def bytes_out(self) -> int: ...

    async def close(self, reason: str, *, drain_s: float) -> None: ...


class Sites(Service):
    """The cloud's end of all tunnels (``tunnel.link.CloudEnd``).

    ``has_password`` says whether an admin password was ever set; before, no tunnel is admitted. ``asks_approval`` says
    whether an installation that comes with its own key for the first time waits for the admin.
    """

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        has_password: Callable[[], bool],
        open_enrolment: bool,
        clock: IReactorTime,
        now: UtcNow,
        asks_approval: Callable[[], bool] = lambda: False,
    ) -> None:
        self._accounts, self._ledger = accounts, ledger
        self._has_password, self._open_enrolment = has_password, open_enrolment
        self._now, self._asks_approval = now, asks_approval
        self._live: set[SiteLink] = set()
        self._numbers: dict[SiteLink, int] = {}
        self._here: Counter[int] = Counter()
        self._passages: list[Passage] = []
        self._sightings: dict[int, Sighting] = {}
        self._unnoted: list[SiteLink] = []
        self._counted: dict[SiteLink, tuple[int, int]] = {}
        self._writing, self._sighting = LoopingCall(self._write), LoopingCall(self._sight)
        self._writing.clock = self._sighting.clock = clock

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._writing.start(WRITE_EVERY_S, now=False)
        self._sighting.start(SIGHT_EVERY_S, now=False)

    def stopService(self) -> Deferred[None]:
        """What is known by now is on disk when this fires."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._sighting.stop()
        self._writing.stop()
        self._sight()
        return self._write()

    def ready(self) -> bool:
        return self._has_password()

    async def verifiers_of(self, cloud_id: str) -> list[ScramVerifier]:
        with _busy_while_gone():
            known = await self._accounts.verifiers(cloud_id)
        return [] if known is None else [known.now, *([known.next] if known.next else [])]

    async def proved(self, cloud_id: str, verifier: ScramVerifier) -> bool:
        with _busy_while_gone():
            known = await self._accounts.verifiers(cloud_id)
            if known is None or verifier != known.next:
                return known is not None and verifier == known.now
            if not await self._accounts.proved(cloud_id, verifier):  # replaced or deleted meanwhile
                return False
        log.info("the new password of {cloud_id} is proven; the old one has ended", cloud_id=cloud_id)
        await self._ledger.did("installation", "", "password-proven", cloud_id)
        return True

    async def admits(self, serial: str) -> bool:
        """Whoever waits for approval, or is disabled, gets in far enough to be told so (``connected``)."""
        if not self._open_enrolment:
            return False
        try:
            with _busy_while_gone():
                await self._accounts.enrol(serial, approved=not self._asks_approval())
        except Problem as problem:
            log.warn("installation {serial} was not enrolled: {reason}", serial=serial, reason=str(problem))
            return False
        return True

    def connected(self, link: SiteLink) -> None:
        self._live.add(link)
        self._arrives(link)

    def _arrives(self, link: SiteLink) -> None:
        def failed(failure: Failure) -> None:
            if failure.check(DatabaseGone):
                self._unnoted.append(link)
            else:
                log.failure("the arrival of {cloud_id} failed", failure=failure, cloud_id=link.cloud_id)

        Deferred.fromCoroutine(self._arrived(link)).addErrback(failed)

    async def look_again(self) -> None:
        """Others may have deleted or disabled what is here, and we have not heard of it. Raises: StorageError."""
        admitted = await self._accounts.admitted()
        for link, number in list(self._numbers.items()):
            if number not in admitted:
                with suppress(TunnelError):
                    await link.close(why_not(await self._accounts.find(link.cloud_id)) or "deleted", drain_s=0.0)

    def lost(self, link: SiteLink, reason: str) -> None:
        self._live.discard(link)
        number = self._numbers.pop(link, None)
        if number is not None:
            self._here[number] -= 1
            if not self._here[number]:
                del self._here[number]
            self._note(number, link, "lost", reason)

    async def _arrived(self, link: SiteLink) -> None:
        found = await self._accounts.find(link.cloud_id)
        if link not in self._live:
            return
        refusal = why_not(found)
        if found is None or refusal is not None:  # or it was deleted while it logged in
            with suppress(TunnelError):
                await link.close(refusal or "deleted", drain_s=0.0)
            return
        self._numbers[link] = found.number
        self._here[found.number] += 1
        self._note(found.number, link, "connected", version_in(link.program))

    def _note(self, number: int, link: SiteLink, event: str, detail: str) -> None:
        stamp = self._stamp()
        self._passages.append(Passage(number, event, stamp, link.source, detail))
        self._see(number, link, stamp)

    def _sight(self) -> None:
        stamp = self._stamp()
        for link, number in self._numbers.items():
            self._see(number, link, stamp)

    def _see(self, number: int, link: SiteLink, stamp: str) -> None:
        """One sighting of each installation is kept until it is written; what came through its tunnels adds up."""
        received, sent = self._counted.get(link, (0, 0))
        self._counted[link] = (link.bytes_in, link.bytes_out)
        older = self._sightings.get(number)
        if link not in self._numbers:
            del self._counted[link]
        self._sightings[number] = Sighting(
            number,
            stamp,
            version_in(link.program),
            self._here[number] > 0,
            link.bytes_in - received + (older.received_bytes if older else 0),
            link.bytes_out - sent + (older.sent_bytes if older else 0),
        )

    def _write(self) -> Deferred[None]:
        """Everything gathered, in two transactions; a failure is logged and costs only this batch. While the database
        is away all waits."""
        unnoted, self._unnoted = self._unnoted, []
        for link in unnoted:
            self._arrives(link)
        passages, self._passages = self._passages, []
        sightings, self._sightings = self._sightings, {}

        async def write() -> None:
            await self._ledger.catch_up()
            if sightings:
                await self._accounts.seen(sightings.values())
                sightings.clear()
            if passages:
                await self._ledger.passed(passages)

        def failed(failure: Failure) -> None:
            if failure.check(DatabaseGone):
                self._wait_with(passages, sightings)
            else:
                log.failure("passages of tunnels could not be written", failure=failure)

        return Deferred.fromCoroutine(write()).addErrback(failed)

    def _wait_with(self, passages: list[Passage], sightings: dict[int, Sighting]) -> None:
        self._passages = (passages + self._passages)[-_MOST_WAITING:]
        for number, older in sightings.items():
            newer = self._sightings.get(number)
            if newer is None:
                self._sightings[number] = older
            else:
                self._sightings[number] = evolve(
                    newer,
                    received_bytes=newer.received_bytes + older.received_bytes,
                    sent_bytes=newer.sent_bytes + older.sent_bytes,
                )

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds")
