"""``charging_manager run``: the reference document's own syntax, carried out by twistd in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from attrs import frozen

from charging_manager.cli.table import WrongUsage
from charging_manager.daemon.options import log_level, port_number

USAGE = (
    "charging_manager run PORT [-cloud_server] [-allow_http] [loglevel 1..4] [--data DIR]\n"
    "       [--drivers DIR] [--config FILE] [--modbus-port PORT] [--modbus-allow NETWORK]\n"
    "       [--modbus-bind ADDRESS] [--open-enrolment] [--proxy-from NETWORKS]"
)

HELP = """\
Run the agent, or the cloud server, on PORT until it is told to end.

  -cloud_server     the cloud server instead of the agent
  -allow_http       answer plain HTTP on the same port too
  loglevel 1..4     errors, warnings, information (default), data
  --data DIR        state directory
  --drivers DIR     one more folder of drivers (agent)
  --config FILE     settings file (TOML)
  --modbus-port PORT, --modbus-allow NETWORK, --modbus-bind ADDRESS
                    serve Modbus clients, as a grid operator's control box (agent)
  --open-enrolment  admit installations by their serial number (cloud server)
  --proxy-from NETWORKS
                    proxies (haproxy, nginx) that send the PROXY protocol, like 10.0.0.5,10.1.0.0/24

Options stand in any order, with one dash or two."""


@frozen
class RunRequest:
    """What was asked for; ``rest`` goes to the plugin as it is."""

    port: int
    cloud: bool
    rest: tuple[str, ...]

    def twistd_words(self) -> list[str]:
        plugin = "cm-cloud" if self.cloud else "cm-agent"
        return ["twistd", "-n", plugin, "--port", str(self.port), *self.rest]


_VALUES = ("data", "drivers", "config", "modbus-port", "modbus-bind", "modbus-allow", "proxy-from")


def read_words(words: Sequence[str]) -> RunRequest:
    """Options in any order, with one dash, two, or (loglevel) none; ``_`` and ``-`` inside a name are the same.

    Raises: WrongUsage.
    """
    port: int | None = None
    cloud = False
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, equals, inline = word.lstrip("-").partition("=")
        name = name.replace("_", "-")
        dashed = word.startswith("-")

        def value(word: str = word, equals: str = equals, inline: str = inline) -> str:
            if equals:
                return inline
            if not waiting:
                raise WrongUsage(f"{word} needs a value")
            return waiting.pop(0)

        if name == "loglevel":
            try:
                rest += ["--loglevel", str(log_level(value()))]
            except ValueError as error:
                raise WrongUsage(f"loglevel: {error}") from error
        elif dashed and name == "cloud-server":
            cloud = True
        elif dashed and name in ("allow-http", "open-enrolment"):
            rest.append(f"--{name}")
        elif dashed and name in _VALUES:
            rest += [f"--{name}", value()]
        elif dashed:
            raise WrongUsage(f"there is no option {word}")
        elif port is not None:
            raise WrongUsage(f"{word!r} is one word too many; the port was {port}")
        else:
            try:
                port = port_number(word)
            except ValueError as error:
                raise WrongUsage(f"{word!r}: {error}") from error
    if port is None:
        raise WrongUsage("name the port, as in: charging_manager run 4443 -cloud_server")
    if not cloud and "--open-enrolment" in rest:
        raise WrongUsage("--open-enrolment belongs to the cloud server; add -cloud_server")
    return RunRequest(port, cloud, tuple(rest))


def run(words: Sequence[str]) -> int:
    """Become the daemon until it stops."""
    if any(word in ("--help", "-help", "-h") for word in words):
        print(f"usage: {USAGE}\n\n{HELP}")
        return 0
    try:
        request = read_words(words)
    except WrongUsage as wrong:
        print(f"charging_manager run: {wrong}", file=sys.stderr)
        return 2
    from twisted.scripts.twistd import run as become_twistd

    sys.argv = request.twistd_words()
    become_twistd()
    return 0
