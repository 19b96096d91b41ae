"""``twistd cm-cloud``: the parts list of the cloud server."""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

from twisted.application.service import IService, Service
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from charging_manager import VERSION
from charging_manager.clocks import use_monotonic, utc_now
from charging_manager.cloud.accounts import CUT_OFF, Accounts
from charging_manager.cloud.admin import Admin
from charging_manager.cloud.admin_door import AdminDoor
from charging_manager.cloud.admin_ledger import AdminLedger
from charging_manager.cloud.admin_logins import admin_login_routes
from charging_manager.cloud.admin_server import AdminServer
from charging_manager.cloud.alarms import Alarms
from charging_manager.cloud.backups import BackupStore
from charging_manager.cloud.chain import chain_key
from charging_manager.cloud.cluster import Cluster, NodeFactory
from charging_manager.cloud.dns_settings import DNS_KNOWN, DNS_PARAMETERS, DnsSettings, read_dns
from charging_manager.cloud.domains import Domains, names_of
from charging_manager.cloud.door import Door
from charging_manager.cloud.downlink import Links, TunnelFactory
from charging_manager.cloud.front import CloudFront
from charging_manager.cloud.hearing import quietly
from charging_manager.cloud.house import House
from charging_manager.cloud.kept import CLOUD
from charging_manager.cloud.keys import ApiKeys
from charging_manager.cloud.lanes import Lanes
from charging_manager.cloud.ledger import Ledger, doer
from charging_manager.cloud.logins import Logins
from charging_manager.cloud.machine import Machine
from charging_manager.cloud.node_table import NodeTable, load_node_id
from charging_manager.cloud.settings import SettingsStore
from charging_manager.cloud.shared_files import SharedFiles
from charging_manager.cloud.sites import Sites
from charging_manager.cloud.splice import Switchboard
from charging_manager.cloud.status import status_line
from charging_manager.cloud.stores import open_store
from charging_manager.cloud.webhook import Webhook, poster
from charging_manager.daemon.ending import begin_anew, ends_once, made, or_give_up
from charging_manager.daemon.files import allow_many_files
from charging_manager.daemon.lifesign import Telling, the_life
from charging_manager.daemon.logs import the_log
from charging_manager.daemon.options import DaemonOptions
from charging_manager.daemon.reload import Reload, settings_again
from charging_manager.daemon.runtime import RuntimeFile, remove_runtime, write_runtime
from charging_manager.daemon.sockets import MAIN, environment_at_start, passed_sockets
from charging_manager.dns.ask import system_resolver, texts_at
from charging_manager.errors import ConfigError
from charging_manager.http.admission import Admission
from charging_manager.http.backup_pages import BackupPages
from charging_manager.http.cookies import CookieNames
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.health import Health
from charging_manager.http.listener import Listener
from charging_manager.http.pages import Pages
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.proxy_header import Proxies
from charging_manager.http.pulse import Pulse
from charging_manager.http.routes import Route
from charging_manager.http.second_factor import SecondFactor
from charging_manager.http.sessions import LoginSessions
from charging_manager.http.table import RouteTable
from charging_manager.http.tally import Tally
from charging_manager.http.tls import TlsDoor
from charging_manager.http.userids import load_key
from charging_manager.http.web import build_site
from charging_manager.paths import make_private, runtime_folder, shared
from charging_manager.storage.keeper import Keeper
from charging_manager.storage.keeping import Shelf, file_made_at
from charging_manager.storage.restore import finish
from charging_manager.storage.summary import refuse_newer_state
from charging_manager.tunnel.commands import put_off
from charging_manager.tunnel.dial import parse_server
from charging_manager.tunnel.lanes import HELLO_BYTES
from charging_manager.tunnel.pump import Pumps

log = Logger()
T = TypeVar("T")

PROGRAM = "cm-cloud"
_OTHER_FILES = 8_000


class Options(DaemonOptions):
    """Options of ``twistd cm-cloud``."""

    daemon = "cloud"
    tapname = PROGRAM
    default_port = 4443
    known = {
        **DaemonOptions.known,
        "open_enrolment": bool,
        "zone": str,
        "database": str,
        "node_address": str,
        **DNS_KNOWN,
    }
    optParameters: list[Sequence[Any]] = [
        ["zone", None, None, "Name under which installations are reached in end-to-end mode, with a port if need be."],
        ["database", None, None, "A PostgreSQL database for several servers: postgresql://user@host/name."],
        ["node-address", None, None, "host:port at which the other servers at this database reach this one."],
        *DNS_PARAMETERS,
    ]
    optFlags: list[Sequence[Any]] = [
        ["open-enrolment", None, "Admit installations by serial number, which their own key proves."],
    ]

    def postOptions(self) -> None:
        """The zone must be a name, and what it takes to change it complete."""
        super().postOptions()
        self["zone"] = check_zone(self.get("zone") or "")
        self["dns"] = read_dns(self, zone_host(self["zone"]))


def check_zone(text: str) -> str:
    """As agents are told it: lower case, with a port only if one was given. Raises: ConfigError."""
    try:
        server = parse_server(text)
    except ConfigError:
        server = None
    if text and (server is None or isIPAddress(server.host) or isIPv6Address(server.host)):
        raise ConfigError("zone", "is a host name, like cloud.example or cloud.example:443; addresses have no labels")
    return text.strip().lower().removeprefix("https://").rstrip("/")


def check_node_address(text: str) -> str:
    """As the others dial it; empty: this machine's name. Raises: ConfigError."""
    try:
        server = parse_server(text)
    except ConfigError as error:
        raise ConfigError("node-address", "is a name or address, with a port if it is not 4443") from error
    return "" if server is None else text.strip().lower().removeprefix("https://").rstrip("/")


def zone_host(zone: str) -> str:
    """The zone without its port."""
    server = parse_server(zone)
    return "" if server is None else server.host


def _room_for(files: int) -> int:
    """How many tunnels fit beside browsers, strangers and what they ask, one open file each."""
    return max(files // 2, files - _OTHER_FILES)


def makeService(options: Options) -> IService:
    """The whole server. What is wrong with the configuration is said in one sentence."""
    from twisted.internet import reactor  # here and nowhere else

    use_monotonic(reactor)
    return made(PROGRAM, lambda: Cloud(reactor, options))


class Cloud(Service):
    """Starts the parts in order; stops those that were started, the last one first."""

    def __init__(self, reactor: Any, options: Options) -> None:
        """What needs no waiting. Raises: ConfigError."""
        self._reactor = reactor
        self._options = options
        self._passed = passed_sockets(environment_at_start())
        self._data: Path = make_private(options["data"])
        self._restored = finish(self._data)
        self._port: int = options["port"]
        self._allow_http: bool = options["allow-http"]
        self._proxies = Proxies(options["proxy-from"])
        self._open_enrolment = bool(options["open-enrolment"])
        self._database_url: str = options.get("database") or ""
        self._lanes = Lanes(reactor)
        self._dns: DnsSettings = options["dns"]
        self._zone: str = options["zone"]
        self._node_address: str = check_node_address(options.get("node-address") or "")
        self._pid_file = (getattr(options, "parent", None) or {}).get("pidfile")
        self._web = shared("web")
        self._folder = make_private(self._data / "cloud")
        self._secret = load_key(self._folder / "secret")
        self._tls = TlsDoor(self._folder / "tls")
        self._domains = Domains(self._texts_at, lambda: names_of(zone_host(self._zone), self._tls.names), reactor)
        self._switchboard = Switchboard(self._zone, self._lanes, Pumps(reactor), self._domains)
        self._health: Health | None = None
        self._stops: list[Callable[[], object]] = []
        self._starting: Deferred[None] = succeed(None)

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        ends_once(self._reactor)
        self._starting = or_give_up(Deferred.fromCoroutine(self._start()), self._reactor, PROGRAM)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._health is not None:
            self._health.draining = True
        await self._starting
        while self._stops:
            with log.failuresHandled("a part did not stop in order; the others do"):
                await maybeDeferred(self._stops.pop())

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)

    async def _texts_at(self, name: str) -> list[str]:
        return await texts_at(self._reactor, self._dns.resolver or system_resolver(), name)

    def _keep(self, backups: BackupStore, ledger: Ledger) -> list[Route]:
        """What makes and shows backups of a state that is in our own file."""
        keeper = Keeper(
            clock=self._reactor,
            now=utc_now,
            shelf=Shelf(self._data, f"charging-manager {VERSION}", lambda: backups.current),
            settings=lambda: backups.current,
            where=lambda: UTC,
            in_thread=self._in_thread,
            own_database=self._folder / "cloud.sqlite",
            kept=(CLOUD,),
            checks=refuse_newer_state((CLOUD,)),
            begin_anew=lambda: begin_anew(self._reactor, self._pid_file),
            since=lambda: file_made_at(self._folder / "secret"),
        )
        keeper.start()
        self._stops.append(keeper.stop)
        return BackupPages(
            keeper,
            "/api/v1/cloud/admin/backups",
            backups.change,
            lambda caller, action, detail: ledger.did(doer(caller), caller.source, action, detail),
        ).routes()

    async def _start(self) -> None:
        reactor, stops = self._reactor, self._stops
        tls = self._tls
        database = await open_store(self._database_url, self._folder, reactor)
        stops.append(database.close)
        me = load_node_id(self._folder) if database.is_shared else ""
        nodes = NodeTable(database, me)
        shared_files = SharedFiles(database, self._data, self._folder / "agreed.json", reactor)
        if database.is_shared:
            await nodes.check_secret(self._secret)
            await shared_files.begin()
            stops.append(shared_files.stop)
        password = AdminPassword(self._data / "admin", self._in_thread)

        factor = SecondFactor(self._data / "admin.totp", reactor, in_thread=self._in_thread)
        accounts, links = Accounts(database, utc_now, me), Links()
        cluster = Cluster(me, self._secret, links, reactor, utc_now)
        self._switchboard.watch(cluster.label_changed, cluster.by_label)
        self._domains.watch(cluster.domain_changed, cluster.by_domain)
        stops.append(self._domains.stop)
        ledger = Ledger(database, utc_now, chain_key(self._secret))
        await accounts.nobody_is_here()
        await ledger.begin()
        if self._restored is not None:
            held = f"{self._restored.created_at} {self._restored.program}"
            await ledger.did("machine", "", "restored", held)
        settings, keys = SettingsStore(database), ApiKeys(database, reactor, utc_now)
        await settings.load()
        backups = BackupStore(database)
        await backups.load()
        await keys.load()
        webhook = Webhook(database, settings, poster(reactor), reactor)
        alarms = Alarms(database, settings, reactor, utc_now)
        sites = Sites(
            accounts,
            ledger,
            lambda: password.state != "unset",
            self._open_enrolment,
            reactor,
            utc_now,
            lambda: settings.current.enrolment_approval,
        )
        publisher = self._dns.publisher(reactor, zone_host(self._zone), self._folder / "published.json")
        if publisher is not None:
            publisher.start()
            stops.append(publisher.stop)
        tunnels = TunnelFactory(
            reactor,
            sites,
            salt_key=hmac.digest(self._secret, b"fake salts", "sha256"),
            open_enrolment=self._open_enrolment,
            links=links,
            most=_room_for(allow_many_files()),
            switchboard=self._switchboard,
            publisher=publisher,
        )
        tunnels.turnstile.servers = lambda: cluster.size
        database.listen(
            CUT_OFF,
            lambda detail: (
                links.close(*detail.split(" ", 1)) if detail else quietly(sites.look_again(), log, "installations")
            ),
        )
        admission = Admission(reactor, put_off)
        sessions = LoginSessions(database, reactor)
        await sessions.load()
        stops.append(sessions.stop)
        logins, devices = Logins(sessions, cluster.way_to), DeviceCookies(self._secret)
        guards = [LoginGuard(servers=lambda: cluster.size) for _ in range(2)]
        tell_others = shared_files.settle if database.is_shared else None
        admin_door = AdminDoor(password, logins, ledger, guards[0], devices, reactor, factor, tell_others)
        shared_files.taken = admin_door.watch

        token, tally = secrets.token_urlsafe(32), Tally()

        def announce() -> None:
            write_runtime(self._data, RuntimeFile(listener.port, "cloud", tls.fingerprint, token))

        def figures() -> dict[str, float]:
            return {
                "tunnels": len(links),
                "agents_logging_in": admission.in_progress,
                "agents_waiting": admission.waiting,
                "agents_put_off_total": admission.put_off_total,
                "logins": len(sessions.listing()),
                "tunnel_received_bytes": sum(link.bytes_in for link in links),
                "tunnel_sent_bytes": sum(link.bytes_out for link in links),
                "spliced_connections": len(self._switchboard),
                "waiting_lanes": len(self._lanes),
                "servers": cluster.size,
                "servers_linked": cluster.linked,
                "http_requests_total": tally.heard,
                "http_refused_total": tally.refused,
                "relayed_requests_total": tally.relayed,
                "own_domains": len(self._domains),
                "published_records": 0 if publisher is None else len(publisher),
            }

        async def counted() -> dict[str, float]:
            counts = await accounts.counts()
            states = {f'installations{{state="{state}"}}': float(n) for state, n in counts.items() if state != "alarm"}
            return {
                **states,
                "installations_offline_too_long": counts["alarm"],
                "webhook_waiting": await webhook.waiting(),
                "webhook_lost": webhook.given_up + alarms.dropped,
            }

        self._health = Health(
            reactor,
            lambda: database.read(lambda connection: connection.execute("SELECT 1").fetchone()),
            lambda: "not-set-up" if password.state == "unset" else None,
        )
        keeping = self._keep(backups, ledger) if not self._database_url else []
        table = RouteTable(
            [
                *self._health.routes(),
                *House(
                    the_log, ledger, lambda: password.state == "unset", lambda: table.openapi(), lambda: factor.on
                ).routes(),
                *Door(accounts, ledger, logins, cluster.way_to, guards[1], devices, reactor).routes(),
                *admin_door.routes(),
                *Admin(accounts, ledger, links, logins, self._in_thread, utc_now, cluster.way_to).routes(),
                *AdminLedger(ledger).routes(),
                *admin_login_routes(sessions, ledger),
                *keeping,
                *AdminServer(accounts, ledger, settings, keys, webhook, self._open_enrolment).routes(),
                *Machine(token, tls, announce, figures, ledger, counted).routes(),
            ],
            "Charging Manager cloud server",
            CookieNames("cloud").login(secure=True),
        )
        site: Any = build_site(
            CloudFront(table, logins, cluster.way_to, password, keys.find, tally),
            Pages([self._web / "cloud", self._web / "agent"], self._web),
            CookieNames("cloud"),
            reactor=reactor,
            allow_http=self._allow_http,
            hsts=lambda: tls.is_ca_signed,
            tally=tally,
        )
        sessions.on_end(lambda session: site.close_streams_of(session.handle))
        listener = Listener(
            reactor,
            self._port,
            site,
            tunnels,
            tls,
            self._allow_http,
            passed_on=self._switchboard.passed_on,
            proxies=self._proxies,
            admission=admission,
            greeted=(HELLO_BYTES, self._lanes.admit),
            nodes=NodeFactory(cluster, reactor),
            sockets=self._passed.get(MAIN, ()),
        )

        sites.startService()
        stops.append(sites.stopService)
        for service in (webhook, alarms):
            service.startService()
            stops.append(service.stopService)
        admin_door.watch()
        stops.append(admin_door.stop)
        listener.startService()
        stops.append(listener.stopService)
        announce()
        if database.is_shared:
            address = self._node_address or socket.gethostname().lower()
            await cluster.join(nodes, address if ":" in address else f"{address}:{listener.port}")
            stops.append(cluster.stopService)
        stops.append(lambda: remove_runtime(runtime_folder(self._data) / f"{listener.port}.json"))
        stops.append(lambda: Deferred.fromCoroutine(tunnels.drain()))
        stops.append(lambda: listener.stop_listening() if listener.is_succeeded else None)
        if the_life.watch_s is not None:
            preface = lambda: listener.own_preface  # noqa: E731
            pulse = Pulse(reactor, lambda: listener.own_address, the_life.alive, the_life.watch_s / 3, preface)
            pulse.start()
            stops.append(pulse.stop)
        telling = Telling(reactor, the_life, lambda: status_line(figures(), listener.port, password.state != "unset"))
        telling.start()
        stops.append(telling.stop)
        works = {
            "settings": lambda: settings_again(self._options),
            "certificate": lambda: announce() if tls.look_again() else None,
        }
        Reload(reactor, the_life, works).listen()
        the_life.ready()
        stops.append(the_life.stopping)
        log.info("the cloud server listens on port {port}", port=listener.port)
