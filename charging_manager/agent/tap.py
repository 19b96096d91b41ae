"""The agent's parts list: options in, services out. What runs in a cm-agent process is what stands here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from charging_manager import VERSION
from charging_manager.agent.acme_http import AcmeHttp
from charging_manager.agent.acme_state import StateFile
from charging_manager.agent.api import build_table
from charging_manager.agent.api_cloud import ShownUplink
from charging_manager.agent.certify import Certifier
from charging_manager.agent.config import CloudSettings
from charging_manager.agent.end_to_end import EndToEnd
from charging_manager.agent.events import EventHub
from charging_manager.agent.evidence import Evidence
from charging_manager.agent.fetch import Fetcher, trust_root
from charging_manager.agent.fleet import Spec
from charging_manager.agent.front import AgentFront
from charging_manager.agent.journal import Journal
from charging_manager.agent.kept import AGENT
from charging_manager.agent.modbus_door import ModbusServer, read_door
from charging_manager.agent.modbus_map import Registers
from charging_manager.agent.ocpp_central import Central
from charging_manager.agent.ocpp_door import OcppDoor
from charging_manager.agent.ocpp_ledger import TransactionLedger
from charging_manager.agent.people import People
from charging_manager.agent.private_front import LocalSite, PrivateFront
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
from charging_manager.clocks import use_monotonic, utc_now, zone
from charging_manager.control.chain import chain
from charging_manager.control.decide import Rules, decide
from charging_manager.daemon.ending import begin_anew, ends_once, made, or_give_up
from charging_manager.daemon.lifesign import the_life
from charging_manager.daemon.logs import the_log
from charging_manager.daemon.options import DaemonOptions, port_number
from charging_manager.daemon.reload import Reload, settings_again
from charging_manager.daemon.runtime import RuntimeFile, remove_runtime, write_runtime
from charging_manager.daemon.sockets import MAIN, environment_at_start, passed_sockets
from charging_manager.devices.access import Access
from charging_manager.devices.device import Device
from charging_manager.devices.driver import Driver
from charging_manager.devices.loader import DriverShelf
from charging_manager.devices.ocpp_box import OcppBox
from charging_manager.devices.road import Roads
from charging_manager.devices.trial import Note, TestStep, try_device
from charging_manager.errors import ConfigError
from charging_manager.finding.interfaces import own_interfaces, resolved, serial_lines
from charging_manager.finding.search import Search
from charging_manager.http.cookies import CookieNames
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.health import Health
from charging_manager.http.listener import Listener
from charging_manager.http.pages import Pages
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.proxy_header import Proxies
from charging_manager.http.second_factor import SecondFactor
from charging_manager.http.sessions import LoginSession, LoginSessions
from charging_manager.http.table import RouteTable
from charging_manager.http.tally import Tally
from charging_manager.http.tls import TlsDoor
from charging_manager.http.userids import UserIds, load_key
from charging_manager.http.web import build_site
from charging_manager.modbus.address import Address, OcppAddress
from charging_manager.paths import driver_folders, make_private, shared
from charging_manager.storage.database import Database
from charging_manager.storage.keeper import Keeper
from charging_manager.storage.keeping import Shelf, file_made_at
from charging_manager.storage.restore import finish
from charging_manager.storage.summary import refuse_newer_state
from charging_manager.tariffs.plugins import PluginShelf
from charging_manager.tunnel.dial import parse_server
from charging_manager.tunnel.identity import AgentKey, load_or_make_key
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest, RemoteStream
from charging_manager.tunnel.tls import Trust

PROGRAM = "cm-agent"
MODBUS = "modbus"


class Options(DaemonOptions):
    """Options of ``twistd cm-agent``."""

    daemon = "agent"
    tapname = PROGRAM
    default_port = 8080
    known = {
        **DaemonOptions.known,
        "drivers": list,
        "default_server": str,
        "cloud_ca": str,
        "cloud_pins": list,
        "tariff_ca": str,
        "acme_ca": str,
        "pause_s": int,
        "modbus_port": int,
        "modbus_bind": str,
        "modbus_allow": list,
    }

    optParameters: list[Sequence[Any]] = [
        ["modbus-port", None, None, "Serve Modbus clients on this port; off unless given.", port_number],
        ["modbus-bind", None, None, "Address of this machine on which Modbus clients are served."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["drivers"] = []
        self["modbus-allow"] = []

    def opt_modbus_allow(self, network: str) -> None:
        """A network whose Modbus clients are served, as in 192.168.1.0/24; may be given several times."""
        self["modbus-allow"].append(network)

    def opt_drivers(self, folder: str) -> None:
        """One more folder of drivers; may be given several times, later ones win."""
        self["drivers"].append(folder)

    def postOptions(self) -> None:
        """What the settings file says beyond the common ones must make sense too."""
        super().postOptions()
        parse_server(self.get("default-server") or "")
        if self.get("pause-s") is not None and self["pause-s"] < 0:
            raise ConfigError("agent.pause_s", "must be 0 or more seconds")
        self["modbus"] = read_door(self["modbus-port"], self["modbus-bind"], self["modbus-allow"])


def makeService(options: Options) -> IService:
    """The agent; it starts with the reactor and gives up in one sentence when it cannot."""
    from twisted.internet import reactor

    use_monotonic(reactor)
    return AgentService(reactor, made(PROGRAM, lambda: Parts(reactor, options)))


class Parts:
    """Everything that an agent is made of, in the order in which one needs the other."""

    def __init__(self, reactor: Any, options: Options) -> None:
        """What needs no waiting. Raises: ConfigError."""
        self.reactor, self.options = reactor, options
        data: Path = options["data"]
        self.passed = passed_sockets(environment_at_start(), (MODBUS,))
        self.data = make_private(data)
        self.restored = finish(data)
        self.folder = make_private(data / "agent")
        self.drivers = driver_folders(options["drivers"])
        self.uploads = make_private(data / "drivers")
        self.inbox = make_private(data / "tariffs")
        self.web = shared("web")
        self.key = load_or_make_key(self.folder / "key.pem")
        self.secret = load_key(self.folder / "id.key")
        self.password = AdminPassword(data / "admin")
        self.factor = SecondFactor(data / "admin.totp", reactor)
        self.tls = TlsDoor(self.folder)
        self.runtime = RuntimeFile(options["port"], "agent", self.tls.fingerprint)

    async def assemble(self) -> None:
        """The rest. Raises: ConfigError."""
        reactor, options = self.reactor, self.options
        schema = files("charging_manager.agent") / "schema"
        self.database = await Database.open(self.folder / "agent.db", schema, reactor=reactor)
        self.config = await ConfigStore.load(self.database)
        self.roads = Roads(reactor)
        self.records = Records(self.database, reactor)
        if self.restored is not None:
            self.records.audit("agent", "", "restored", self.restored.program, self.restored.created_at)
        self.hub = EventHub(reactor, int(utc_now().timestamp()) * 1000)
        rules = Rules() if options.get("pause-s") is None else Rules(pause_s=float(options["pause-s"]))
        self.site = RunningSite(
            clock=reactor,
            now=utc_now,
            serial=self.key.serial,
            config=self.config,
            records=self.records,
            evidence=Evidence(self.database, reactor),
            shelf=DriverShelf(self.drivers, self.uploads),
            hub=self.hub,
            open_bus=self._open_road,
            make_device=self._make_device,
            decide=lambda image: decide(image, rules),
            rules=rules,
            journal=Journal(self.folder / "why", reactor, utc_now, chain, lambda work: deferToThread(work)),
            tariff=TariffWatch(
                reactor,
                utc_now,
                self.config,
                PluginShelf([*self.drivers, self.uploads]),
                Fetcher(reactor, trust_root(options.get("tariff-ca"))),
                self.folder,
                self.inbox,
                deferToThread,
            ),
        )
        self.modbus = self._modbus_server()
        self.site.recorder = Recorder(
            self.folder / "recording",
            reactor,
            utc_now,
            lambda: self.config.current.recording,
            rules,
            deferToThread,
        )
        self.site.keeper = self.keeper = Keeper(
            clock=reactor,
            now=utc_now,
            shelf=Shelf(self.data, f"charging-manager {VERSION}", lambda: self.config.current.backups),
            settings=lambda: self.config.current.backups,
            where=lambda: zone(self.config.current.timezone),
            in_thread=deferToThread,
            own_database=self.folder / "agent.db",
            kept=(AGENT,),
            checks=refuse_newer_state((AGENT,)),
            begin_anew=lambda: begin_anew(reactor, (getattr(options, "parent", None) or {}).get("pidfile")),
            since=lambda: file_made_at(self.folder / "id.key"),
        )
        self.site.searching = Searching(
            Machine(own_interfaces, serial_lines, lambda host: resolved(host, reactor)),
            lambda drivers, wish, interfaces, in_use: Search(
                reactor, drivers, wish, interfaces=interfaces, in_use=in_use
            ),
            utc_now,
        )
        self.site.trials = Trials(self.site, _try_out, Reports(self.database))
        self.logins = LoginSessions(self.database, reactor)
        self.people = People(
            clock=reactor,
            config=self.config,
            records=self.records,
            password=self.password,
            logins=self.logins,
            guard=LoginGuard(),
            ids=UserIds(self.secret),
            devices=DeviceCookies(self.secret),
            factor=self.factor,
        )
        ledger = TransactionLedger(
            self.database,
            self.records,
            self.site.book,
            self.site.take_down,
            lambda: self.config.current,
            self.people,
            utc_now,
        )
        await ledger.load()
        self.site.ocpp = Central(reactor, utc_now, lambda: self.config.current, ledger, self.people.digest_of)
        self.ocpp_door = OcppDoor(self.site.ocpp, self.tls, reactor)
        self.config.listen(lambda change: self.ocpp_door.follow(change.after.ocpp))
        end = LateEnd()
        private_folder = make_private(self.folder / "end-to-end")
        current = self.config.current
        self.private = EndToEnd(reactor, private_folder, current.end_to_end, domain=current.own_domain)
        self.certifier = Certifier(
            reactor,
            self.private,
            StateFile(private_folder / "acme.json"),
            lambda: self.config.current.acme,
            AcmeHttp(reactor, trust_root(options.get("acme-ca"), "agent.acme_ca")),
        )
        settings = uplink_settings(self.key, self.config.current.cloud, options)
        self.uplink = Uplink(reactor, settings, end, splices=self.private)
        self.private.follow(self.uplink)
        self.site.life, self.site.password_set = the_life, lambda: self.password.state != "unset"
        self.site.cloud = shown = ShownUplink(self.uplink, self.private)
        token, tally = self.runtime.token, Tally()
        self.health = Health(
            reactor,
            lambda: self.database.read(lambda connection: connection.execute("SELECT 1").fetchone()),
            lambda: None if self.site.steering.deciding else "not-deciding",
        )
        self.table = build_table(
            self.site,
            self.people,
            shown,
            self.private,
            self.certifier,
            the_log,
            token,
            deferToThread,
            self.health,
            tally,
        )
        end.end = TunnelEnd(self.people, self.table, lambda: self.private.enabled, tally)
        pages = Pages([self.web / "agent", self.web / "common"], self.web)
        self.web_site = build_site(
            AgentFront(self.people, self.table),
            pages,
            CookieNames("agent"),
            reactor=reactor,
            allow_http=options["allow-http"],
            hsts=lambda: self.tls.is_ca_signed,
            tally=tally,
        )
        self.private_sites = private_sites(reactor, self.people, self.table, pages, self.private, tally)
        self.private.serve(*self.private_sites)
        web: Any = self.web_site  # a Factory to everybody but the stubs
        self.listener = Listener(
            reactor,
            options["port"],
            web,
            None,
            self.tls,
            options["allow-http"],
            proxies=Proxies(options["proxy-from"]),
            sockets=self.passed.get(MAIN, ()),
        )

    def _modbus_server(self) -> ModbusServer | None:
        """Where settings or a socket unit ask for one."""
        settings, sockets = self.options["modbus"], self.passed.get(MODBUS, ())
        if settings is None and sockets:
            settings = read_door(sockets[0].getsockname()[1], None, self.options["modbus-allow"])
        return None if settings is None else ModbusServer(settings, Registers(self.site), self.reactor, sockets)

    def _open_road(self, address: Address, driver: Driver, access: Access) -> Any:
        if isinstance(address, OcppAddress) and self.site.ocpp is not None:
            return self.site.ocpp.open(address.identity)
        return self.roads.open(address, driver, access)

    def _make_device(self, name: str, spec: Spec, road: Any, fallback_a: float, bus_at: Any) -> Device | OcppBox:
        if isinstance(spec.address, OcppAddress):
            return OcppBox(
                name,
                spec.driver,
                road,
                spec.address.connector,
                spec.phases,
                self.reactor,
                fallback_a,
                settings=spec.settings,
                most_a=spec.most_a,
            )
        return Device(
            name,
            spec.driver,
            road,
            spec.address.unit,
            spec.phases,
            self.reactor,
            fallback_a,
            settings=spec.settings,
            channel=spec.address.connector,
            most_a=spec.most_a,
            bus_at=bus_at,
        )


def private_sites(
    reactor: Any, people: People, table: RouteTable, pages: Pages, private: EndToEnd, tally: Tally
) -> tuple[Any, Any]:
    """Our pages for those who come in end-to-end mode: for browsers, and for those behind ``charging_manager open``."""
    front, local = (
        PrivateFront(people, table, pages, reactor, lambda: private.read_along, local=is_local)
        for is_local in (False, True)
    )
    cookies = CookieNames("agent")
    return (
        build_site(front, pages, cookies, reactor=reactor, hsts=lambda: private.tls.is_ca_signed, tally=tally),
        LocalSite(local, pages, cookies, reactor, True, lambda: False, tally),
    )


async def _try_out(device: Device | OcppBox, note: Note) -> tuple[TestStep, ...]:
    return await (device.test(note) if isinstance(device, OcppBox) else try_device(device, note))


class LateEnd:
    """The tunnel's end at the agent, before there are routes: the uplink is made first, because routes show it."""

    end: TunnelEnd

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        return await self.end.login(login)

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        return await self.end.request(token, request)

    async def logout(self, token: str) -> None:
        await self.end.logout(token)


def uplink_settings(key: AgentKey, cloud: CloudSettings, options: Options) -> UplinkSettings:
    """The cloud service as configured in the database and in the settings file."""
    return UplinkSettings(
        key,
        enabled=cloud.enabled,
        server=cloud.server,
        cloud_id=cloud.cloud_id,
        password=cloud.password,
        default_server=options.get("default-server") or "",
        trust=Trust(options.get("cloud-ca") or None, frozenset(options.get("cloud-pins") or ())),
    )


class AgentService(Service):
    """Starts the parts in order, and stops them the other way round."""

    log = Logger()

    def __init__(self, reactor: Any, parts: Parts) -> None:
        self._reactor = reactor
        self._parts = parts
        self._started: list[Callable[[], Any]] = []

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        ends_once(self._reactor)
        self._starting = or_give_up(Deferred.fromCoroutine(self._start()), self._reactor, PROGRAM)

    async def _start(self) -> None:
        parts = self._parts
        await parts.assemble()
        self._started.append(parts.database.close)
        await parts.logins.load()
        self._started.append(parts.logins.stop)
        parts.people.on_end(self._login_ended)
        parts.password.watch(self._reactor, parts.people.password_changed_elsewhere)
        self._started.append(parts.password.stop)
        parts.factor.watch(parts.people.second_factor_changed_elsewhere)
        self._started.append(parts.factor.stop)
        parts.listener.startService()
        self._started.append(parts.listener.stopService)
        parts.runtime = evolve(parts.runtime, port=parts.listener.port)
        path = write_runtime(parts.data, parts.runtime)
        self._started.append(lambda: remove_runtime(path))
        await parts.site.start()
        self._started.append(parts.site.stop)
        parts.ocpp_door.startService()
        self._started.append(parts.ocpp_door.stopService)
        if parts.modbus is not None:
            parts.modbus.startService()
            self._started.append(parts.modbus.stopService)
        self._started.append(parts.private.stop)
        parts.certifier.start()
        self._started.append(parts.certifier.stop)
        parts.keeper.start()
        self._started.append(parts.keeper.stop)
        parts.uplink.startService()
        self._started.append(parts.uplink.stopService)
        works = {
            "settings": lambda: settings_again(parts.options),
            "certificate": self._look_at_certificate,
            "drivers": parts.site.look_at_drivers,
        }
        Reload(self._reactor, parts.site.life, works).listen()
        parts.site.life.ready()
        self.log.info("agent {serial} listens on port {port}", serial=parts.key.serial, port=parts.listener.port)

    def _look_at_certificate(self) -> None:
        parts = self._parts
        if parts.tls.look_again():
            parts.runtime = evolve(parts.runtime, fingerprint=parts.tls.fingerprint)
            write_runtime(parts.data, parts.runtime)

    def _login_ended(self, login: LoginSession) -> None:
        self._parts.hub.drop(lambda caller: caller.login == login.handle)
        for site in (self._parts.web_site, *self._parts.private_sites):
            site.close_streams_of(login.handle)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._started:
            self._parts.site.life.stopping()
            self._parts.health.draining = True
        for stop in reversed(self._started):
            try:
                await maybeDeferred(stop)
            except Exception:
                self.log.failure("a part of the agent could not be stopped")
        self._started = []
