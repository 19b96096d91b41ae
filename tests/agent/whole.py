"""A whole agent without sockets: real routes, real database, fake devices, a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.task import Clock

from charging_manager.acme.authority import Reply
from charging_manager.acme.trouble import AcmeError
from charging_manager.agent.acme_state import StateFile
from charging_manager.agent.api import build_table
from charging_manager.agent.api_cloud import ShownUplink
from charging_manager.agent.certify import Certifier
from charging_manager.agent.config import Configuration
from charging_manager.agent.end_to_end import EndToEnd
from charging_manager.agent.events import EventHub
from charging_manager.agent.evidence import Evidence
from charging_manager.agent.fetch import Asked, FetchError
from charging_manager.agent.journal import Journal
from charging_manager.agent.people import People
from charging_manager.agent.recorder import Recorder
from charging_manager.agent.records import Records
from charging_manager.agent.remote import TunnelEnd
from charging_manager.agent.reports import Reports
from charging_manager.agent.running import RunningSite
from charging_manager.agent.searching import Machine, Searching
from charging_manager.agent.store import ConfigStore
from charging_manager.agent.tariff import TariffWatch
from charging_manager.agent.trials import Trials
from charging_manager.agent.uplink import Uplink, UplinkSettings
from charging_manager.control.chain import chain
from charging_manager.control.decide import Rules, decide
from charging_manager.daemon.logs import DaemonLog
from charging_manager.devices.condition import DeviceCondition
from charging_manager.devices.loader import DriverShelf
from charging_manager.devices.trial import Note, Spoken, TestStep
from charging_manager.errors import DeviceSilent
from charging_manager.finding.course import Progress
from charging_manager.finding.found import Found
from charging_manager.finding.ground import Interface
from charging_manager.finding.search import Wish
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.health import Health
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.routes import Answer, Caller, Role, Stream
from charging_manager.http.second_factor import SecondFactor
from charging_manager.http.sessions import LoginSessions
from charging_manager.http.table import RawRequest
from charging_manager.http.userids import UserIds
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.paths import shared
from charging_manager.storage.database import Database
from charging_manager.tariffs.plugins import PluginShelf
from charging_manager.tunnel.identity import load_or_make_key
from tests.agent.values import later
from tests.agent.waiting import result_of

KEY = bytes(range(32))
HOUSE_NETWORK = Interface("eth0", IPv4Address("192.168.1.7"), IPv4Network("192.168.1.0/24"))
ADMIN = Caller(Role.ADMIN, source="192.0.2.1")
REMOTE_ADMIN = evolve(ADMIN, remote=True)


async def no_authority(method: str, url: str, body: bytes | None) -> Reply:
    """There is nobody to ask for a certificate."""
    raise AcmeError("unreachable", reason="no network")


class ScriptedDevice:
    """A device that reads what the test wants it to read, and obeys at once."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name, self.clock = name, clock
        self.values: dict[str, Any] = {"status": Status.FREE}
        self.silent = False
        self.setpoint_a: float | None = None
        self.applied: list[float] = []
        self.heard_s: float | None = None
        self.closed = False
        self.phases: int | None = None
        self.storage_locked: bool | None = None

    async def read(self) -> Reading:
        if self.silent:
            raise DeviceSilent("nothing came back")
        self.heard_s = self.clock.seconds()
        return Reading(self.name, self.clock.seconds(), **self.values)

    async def apply(self, setpoint_a: float, phases: int | None = None) -> None:
        if self.silent:
            raise DeviceSilent("nothing came back")
        self.phases = phases
        if setpoint_a != self.setpoint_a:
            self.applied.append(setpoint_a)
        self.setpoint_a = setpoint_a

    async def lock_storage(self, locked: bool) -> None:
        self.storage_locked = locked

    def obedience(self, now_s: float) -> Obedience:
        silent_s = None if self.heard_s is None else now_s - self.heard_s
        return Obedience(
            32.0, self.setpoint_a, self.setpoint_a, answering=silent_s is not None and silent_s < 5, silent_s=silent_s
        )

    def use_fallback(self, fallback_a: float) -> None:
        self.fallback_a = fallback_a

    def close(self) -> None:
        self.closed = True

    @property
    def condition(self) -> DeviceCondition:
        said = "Not connected yet" if self.silent else "Connected"
        return DeviceCondition(not self.silent, True, None, "programmed", None, said)


class ScriptedSearch:
    """A search that finds what the test wants it to find, and ends when the test says so."""

    def __init__(self, drivers: object, wish: Wish, interfaces: object, in_use: Mapping[Any, Sequence[Found]]) -> None:
        self.wish, self.in_use = wish, in_use
        self.progress = Progress(1, 250, 5.0)
        self.found: tuple[Found, ...] = tuple(one for each in in_use.values() for one in each)
        self.over = self.cancelled = False
        self._done: Deferred[None] = Deferred()

    def start(self) -> Deferred[None]:
        return self._done

    def cancel(self) -> None:
        self.cancelled = True

    def end(self) -> None:
        self.over = True
        self._done.callback(None)


class NoBus:
    """A bus that nobody uses."""

    def close(self) -> Deferred[None]:
        return succeed(None)


class WholeAgent:
    """Everything but the listener and the tunnel's connection."""

    def __init__(
        self, folder: Path, config: Configuration | None = None, values: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        self._values = values or {}
        self.asked: list[Asked] = []
        self.provider: Callable[[Asked], bytes | Exception] = lambda asked: FetchError("nobody is there")
        self.folder = folder
        self.clock = Clock()
        self.clock.advance(1000)
        self.started_s = self.clock.seconds()
        self.database = Database.open_here(folder / "agent.db", files("charging_manager.agent") / "schema")
        self.store = result_of(ConfigStore.load(self.database))
        if config is not None:
            result_of(self.store.change(lambda _: config))
        self.devices: dict[str, ScriptedDevice] = {}
        self.records = Records(self.database, self.clock, self.now)
        self.hub = EventHub(self.clock, 5000)
        self.site = RunningSite(
            clock=self.clock,
            now=self.now,
            serial="AAAA-BBBB-CCCC-DDDD",
            config=self.store,
            records=self.records,
            journal=Journal(folder / "why", self.clock, self.now, chain, execute),
            evidence=Evidence(self.database, self.clock),
            shelf=DriverShelf([shared("drivers")], folder / "drivers"),
            hub=self.hub,
            open_bus=lambda address, driver, access: NoBus(),
            make_device=self._make_device,
            decide=lambda image: decide(image, Rules()),
            tariff=TariffWatch(
                self.clock,
                self.now,
                self.store,
                PluginShelf([shared("drivers")]),
                self._fetch,
                folder,
                folder / "tariffs",
            ),
        )
        self.site.recorder = Recorder(
            folder / "recording", self.clock, self.now, lambda: self.store.current.recording, Rules(), execute
        )
        self.trial_holds: Deferred[None] | None = None
        self.site.trials = Trials(self.site, self._try_device, Reports(self.database))
        self.searches: list[ScriptedSearch] = []
        self.site.searching = Searching(
            Machine(lambda: (HOUSE_NETWORK,), lambda: ("/dev/ttyUSB0",), self._resolve), self._search, self.now
        )
        self.password = AdminPassword(folder / "admin", execute)
        self.factor = SecondFactor(folder / "admin.totp", self.clock, self.now, execute)
        self.logins = LoginSessions(self.database, self.clock, self.now)
        result_of(self.logins.load())
        self.people = People(
            clock=self.clock,
            config=self.store,
            records=self.records,
            password=self.password,
            logins=self.logins,
            guard=LoginGuard(),
            ids=UserIds(KEY),
            devices=DeviceCookies(KEY),
            factor=self.factor,
        )
        self.people.on_end(lambda login: self.hub.drop(lambda caller: caller.login == login.handle))
        key = load_or_make_key(folder / "key.pem")
        self.private = EndToEnd(self.clock, folder / "end-to-end", self.store.current.end_to_end)
        self.uplink = Uplink(self.clock, UplinkSettings(key), self, splices=self.private)  # type: ignore[arg-type]
        self.private.follow(self.uplink)
        shown = ShownUplink(self.uplink, self.private)
        self.site.cloud = shown
        self.daemon_log = DaemonLog()
        state = StateFile(folder / "end-to-end" / "acme.json")
        self.certifier = Certifier(
            self.clock, self.private, state, lambda: self.store.current.acme, no_authority, now=self.now
        )
        self.health = Health(
            self.clock,
            lambda: self.database.read(lambda connection: connection.execute("SELECT 1").fetchone()),
            lambda: None if self.site.steering.deciding else "not-deciding",
        )
        self.table = build_table(
            self.site,
            self.people,
            shown,
            self.private,
            self.certifier,
            self.daemon_log,
            "metrics-token",
            health=self.health,
        )
        self.end = TunnelEnd(self.people, self.table, lambda: self.private.enabled)
        result_of(self.site.start())
        self.clock.advance(1)

    def _search(self, *what: Any) -> ScriptedSearch:
        self.searches.append(ScriptedSearch(*what))
        return self.searches[-1]

    async def _resolve(self, host: str) -> str | None:
        return {"box.lan": "192.168.1.99"}.get(host, host)

    async def _fetch(self, asked: Asked) -> bytes:
        """What a provider answers: as the test says."""
        self.asked.append(asked)
        answer = self.provider(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def now(self) -> datetime:
        return later(self.clock.seconds() - self.started_s)

    def _make_device(self, name: str, *what: object) -> ScriptedDevice:
        device = self.devices.setdefault(name, ScriptedDevice(name, self.clock))
        device.values.update(self._values.get(name, {}))
        return device

    async def _try_device(self, device: ScriptedDevice, note: Note) -> tuple[TestStep, ...]:
        now_s = self.clock.seconds()
        spoken = Spoken(now_s, True, "setpoint_a", "6:5004", (6000,), 6.0, "A")
        await device.apply(6.0)
        step = TestStep("setpoint", True, "It took {amps} A and shows it", {"amps": 6.0}, now_s, now_s, (spoken,))
        note(step)
        if self.trial_holds is not None:
            await self.trial_holds
        return (step,)

    def run(self, seconds: int) -> None:
        """Let time pass, second by second."""
        self.clock.pump([1.0] * seconds)

    def ask(
        self, method: str, path: str, body: object = None, caller: Caller = ADMIN, query: str = "", **headers: str
    ) -> Answer | Stream:
        """One request, as the listener or the tunnel would hand it in."""
        raw = RawRequest(
            method,
            path if path.startswith("/") else f"/api/v1/{path}",
            query,
            json.dumps(body).encode() if body is not None else b"",
            "application/json" if body is not None else "",
            {name.replace("_", "-"): value for name, value in headers.items()},
        )
        asked = Deferred.fromCoroutine(self.table.answer(raw, caller))
        for _ in range(10):  # what is worked out in several turns of the reactor is ready after so many
            if not asked.called:
                self.clock.advance(0)
        return result_of(asked)

    def json(self, method: str, path: str, body: object = None, caller: Caller = ADMIN, query: str = "") -> Any:
        """The JSON of an answer that must be good."""
        answer = self.ask(method, path, body, caller, query)
        assert isinstance(answer, Answer)
        assert answer.status in (200, 201), answer.body
        return json.loads(answer.body)

    def refused(self, method: str, path: str, body: object = None, caller: Caller = ADMIN, query: str = "") -> Any:
        """Status, code and field of an answer that must be a problem."""
        answer = self.ask(method, path, body, caller, query)
        assert isinstance(answer, Answer)
        assert answer.content_type == "application/problem+json", answer.body
        said = json.loads(answer.body)
        return answer.status, said["code"], said.get("field")

    def close(self) -> None:
        """Stop, and wait for it by the clock."""
        for search in self.searches:
            if not search.over:
                search.end()
        stopping = Deferred.fromCoroutine(self.site.stop())
        self.clock.pump([1.0] * 6)
        result_of(stopping)
        self.logins.stop()
        self.database.close()


Make = Callable[..., WholeAgent]
