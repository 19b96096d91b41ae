"""The options that both daemons share under twistd."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.python import usage

from charging_manager import VERSION
from charging_manager.daemon.ending import complain
from charging_manager.daemon.logs import LEVELS, the_log
from charging_manager.daemon.settings import Known, find_settings, read_settings
from charging_manager.errors import ConfigError
from charging_manager.paths import state_folder


def port_number(text: str) -> int:
    """A TCP port; 0 lets the system choose. Raises: ValueError with what to do."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError("a port is a number from 0 to 65535")
    return int(text)


port_number.coerceDoc = "Must be a port number."  # type: ignore[attr-defined]


def log_level(text: str) -> int:
    """1 errors, 2 warnings, 3 information, 4 data. Raises: ValueError with what to do."""
    if text not in map(str, LEVELS):
        raise ValueError("a log level is 1 (errors), 2 (warnings), 3 (information) or 4 (data)")
    return int(text)


log_level.coerceDoc = "Must be 1 (errors), 2 (warnings), 3 (information) or 4 (data)."  # type: ignore[attr-defined]


_NORMAL = 3


class DaemonOptions(usage.Options):
    """Base of cm-agent's and cm-cloud's options. What the command line leaves open comes from the settings file.

    After parsing, ``self["data"]`` is the state directory's Path, ``self["port"]`` and ``self["loglevel"]`` are ints,
    ``self["allow-http"]`` is a bool, ``self["proxy-from"]`` a list of texts; wrong usage ends the program with
    one line and status 2.
    """

    daemon = "agent"
    tapname = "cm-agent"
    default_port = 8080
    known: Known = {"port": int, "allow_http": bool, "loglevel": int, "proxy_from": list}
    optParameters: list[Sequence[Any]] = [
        ["data", "d", None, "State directory."],
        ["port", "p", None, "Port for browsers (and agents, at the cloud); 0: any free one.", port_number],
        ["loglevel", None, None, "1 errors, 2 warnings, 3 information (default), 4 data.", log_level],
        ["config", None, None, "Settings file (TOML); read only."],
        ["proxy-from", None, None, "Networks, with commas between, of proxies that send the PROXY protocol."],
    ]
    optFlags: list[Sequence[Any]] = [
        ["allow-http", None, "Answer plain HTTP on the same port as well."],
    ]

    def opt_version(self) -> None:
        """Print the version and end."""
        print(f"charging_manager {VERSION}")  # noqa: T201
        sys.exit(0)

    def parseOptions(self, options: Any = None) -> None:
        """As usage.Options does, but a mistake costs one line and status 2."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            sys.exit(complain(self.tapname, str(error), 2))
        except ConfigError as error:
            sys.exit(complain(self.tapname, str(error), 2, error))

    def parseArgs(self, *rest: str) -> None:
        """There are none beside the options."""
        if rest:
            raise usage.UsageError(f"there is no argument {rest[0]!r}; see --help")

    def postOptions(self) -> None:
        """No pid file unless asked for, our log, and the settings file under the command line."""
        self["data"] = state_folder(self["data"], self.daemon)
        if self["proxy-from"] is not None:
            self["proxy-from"] = self["proxy-from"].split(",")
        self.given = {option for option, value in self.items() if value or (value == 0 and option.endswith("port"))}
        self.settings = self._read_settings()
        for key, value in self.settings.items():
            option = key.replace("_", "-")
            if option not in self.given:
                self[option] = value
        self["allow-http"] = bool(self["allow-http"])
        self["proxy-from"] = self["proxy-from"] or []
        if self["port"] is None:
            self["port"] = self.default_port
        if self["loglevel"] is None:
            self["loglevel"] = _NORMAL
        the_log.level = self["loglevel"]
        parent = getattr(self, "parent", None)
        if parent is None:
            return
        if parent["pidfile"] == "twistd.pid":
            parent["pidfile"] = ""
        if parent["logger"] is None and not parent.get("syslog"):
            the_log.file_name = parent["logfile"] or (None if parent["nodaemon"] else "twistd.log")
            parent["logger"] = "charging_manager.daemon.logs.observer"

    def read_again(self) -> list[str]:
        """What a reload does with the settings file: its log level holds, unless the command line gave one.

        Returns: the settings that have changed and hold after a restart. Raises: ConfigError; then nothing was changed.
        """
        settings = self._read_settings()
        if "loglevel" not in self.given:
            the_log.level = self["loglevel"] = settings.get("loglevel", _NORMAL)
        keys = {*settings, *self.settings} - {"loglevel"}
        return sorted(key for key in keys if settings.get(key) != self.settings.get(key))

    def _read_settings(self) -> dict[str, Any]:
        return read_settings(find_settings(self["config"], Path(self["data"])), self.daemon, self.known)
