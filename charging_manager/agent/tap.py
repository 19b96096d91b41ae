"""The agent's parts list: options in, services out. What runs in a cm-agent process is what stands here."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from twisted.application.service import IService

from charging_manager.agent.events import EventHub
from charging_manager.agent.people import People
from charging_manager.agent.records import Records
from charging_manager.agent.running import RunningSite
from charging_manager.agent.store import ConfigStore
from charging_manager.clocks import use_monotonic, utc_now
from charging_manager.control.decide import decide
from charging_manager.daemon.ending import refuse
from charging_manager.daemon.options import DaemonOptions
from charging_manager.daemon.runtime import RuntimeFile
from charging_manager.devices.loader import DriverShelf
from charging_manager.devices.trial import try_device
from charging_manager.errors import ConfigError
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.sessions import LoginSessions
from charging_manager.http.tls import TlsDoor
from charging_manager.http.userids import UserIds, load_key
from charging_manager.modbus.bus import open_bus
from charging_manager.paths import make_private, shared
from charging_manager.storage.database import Database
from charging_manager.tunnel.dial import parse_server
from charging_manager.tunnel.identity import load_or_make_key

PROGRAM = "cm-agent"
SYSTEM_DRIVERS = Path("/etc/charging-manager/drivers")


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
    }

    def __init__(self) -> None:
        super().__init__()
        self["drivers"] = []

    def opt_drivers(self, folder: str) -> None:
        """One more folder of drivers; may be given several times, later ones win."""
        self["drivers"].append(folder)

    def postOptions(self) -> None:
        """What the settings file says beyond the common ones must make sense too."""
        super().postOptions()
        parse_server(self.get("default-server") or "")


def makeService(options: Options) -> IService:
    """The agent; it starts with the reactor and gives up in one sentence when it cannot."""
    from twisted.internet import reactor

    use_monotonic(reactor)
    try:
        folder = make_private(make_private(options["data"]) / "agent")
        make_private(options["data"] / "drivers")
        key = load_or_make_key(folder / "key.pem")
        load_key(folder / "id.key")
        parts = Parts(reactor, options, folder, shared("drivers"), shared("web"), key)
    except ConfigError as error:
        refuse(PROGRAM, error)
    return AgentService(reactor, parts)


class Parts:
    """Everything that an agent is made of, in the order in which it needs each other."""

    def __init__(self, reactor: Any, options: Options, folder: Path, drivers: Path, web: Path, key: AgentKey) -> None:
        self.reactor = reactor
        self._options, self._folder = options, folder
        self._drivers, self._web, self._key = drivers, web, key
        self.password = AdminPassword(options["data"] / "admin")
        self.tls = TlsDoor(folder)

    async def assemble(self) -> None:
        """Open the database and make the rest. Raises: ConfigError."""
        reactor, options, folder = self.reactor, self._options, self._folder
        runtime = RuntimeFile(options["port"], "agent", self.tls.fingerprint)
        secret = load_key(folder / "id.key")
        self.database = await Database.open(
            folder / "agent.db", files("charging_manager.agent") / "schema", reactor=reactor
        )
        self.config = await ConfigStore.load(self.database)
        self.records = Records(self.database, reactor)
        self.shelf = DriverShelf(
            [self._drivers, SYSTEM_DRIVERS, *map(Path, options["drivers"])], options["data"] / "drivers"
        )
        self.hub = EventHub(reactor, int(utc_now().timestamp()) * 1000)
        self.site = RunningSite(
            clock=reactor,
            now=utc_now,
            serial=self._key.serial,
            config=self.config,
            records=self.records,
            shelf=self.shelf,
            hub=self.hub,
            open_bus=lambda address, driver: open_bus(address, reactor, connect_delay_s=driver.bus.connect_delay_s),
            make_device=lambda *what: make_device(reactor, *what),
            decide=lambda image: decide(image, RULES),
            try_device=try_device,
        )
        self.logins = LoginSessions(self.database, reactor)
        self.people = People(
            clock=reactor,
            config=self.config,
            records=self.records,
            password=self.password,
            logins=self.logins,
            guard=LoginGuard(),
            ids=UserIds(secret),
            devices=DeviceCookies(secret),
        )
        self.people.on_end(lambda login: self.hub.drop(lambda caller: caller.login == login.handle))
