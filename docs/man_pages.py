#!/usr/bin/env python3
"""Write the man pages from the tables that the programs themselves go by: ``python docs/man_pages.py``.

The command line's own table gives charging_manager(1), the daemons' options cm-agent(8) and cm-cloud(8), their settings
charging-manager.toml(5), and the vocabulary of drivers charging-manager-drivers(5). French and German are po4a's
business (docs/man/po4a.cfg).
"""

from __future__ import annotations

import argparse
import functools
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.python import reflect

from charging_manager.agent.tap import Options as AgentOptions
from charging_manager.cli.main import COMMANDS
from charging_manager.cli.run import HELP as RUN_HELP
from charging_manager.cli.table import Command, Option, build_parser
from charging_manager.cloud.tap import Options as CloudOptions
from charging_manager.daemon.options import DaemonOptions
from charging_manager.devices import vocabulary

FOLDER = Path(__file__).resolve().parent / "man"
HERE = Path(__file__).resolve().parent
WORDS = ("name", "vendor", "model", "kind", "sources", "quality", "tcp", "rtu", "http", "mqtt", "identify", "registers")
STATES = ("state", "setpoint", "phases", "watchdog", "start", "notes")
SETTINGS = {
    "default_server": "Cloud server that is used when none was entered; as shipped there is none.",
    "cloud_ca": "PEM file of authorities that may vouch for the cloud server's certificate.",
    "cloud_pins": "Keys that the cloud server may show: base64 SHA-256 of its public key (SubjectPublicKeyInfo).",
    "tariff_ca": "PEM file of authorities that providers of prices are checked by; system: the system's.",
    "acme_ca": "PEM file of authorities that the ACME server is checked by; system: the system's.",
    "pause_s": "Seconds that a car waits at least between two turns.",
}
"""What stands in the settings file alone; the others are options too, and go by their words."""
_KINDS = {int: "number", bool: "true|false", str: "text", list: "list of texts"}


class Page:
    """One page in man(7)'s own language; text is escaped, ``**bold**`` and ``_italic_`` are kept."""

    def __init__(self, name: str, section: int, summary: str) -> None:
        self.file = f"{name}.{section}"
        self._lines = [
            '.\\" Made by docs/man_pages.py: change the tables it reads, or that file.',
            f'.TH "{name.upper()}" "{section}" "" "Charging Manager" "Charging Manager"',
        ]
        self.head("NAME").raw(f"{_escaped(name)} \\- {_escaped(summary)}")

    def head(self, title: str) -> Page:
        return self.raw(f'.SH "{title}"')

    def part(self, title: str) -> Page:
        return self.raw(f'.SS "{_escaped(title)}"')

    def says(self, *paragraphs: str) -> Page:
        for text in paragraphs:
            self.raw(".PP", _formatted(text))
        return self

    def item(self, tag: str, text: str) -> Page:
        return self.raw(".TP", _formatted(tag), _formatted(text))

    def code(self, *lines: str) -> Page:
        return self.raw(".PP", ".nf", *(_line(_escaped(line)) for line in lines), ".fi")

    def raw(self, *lines: str) -> Page:
        self._lines += lines
        return self

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("’", "'").replace("…", "...")


def _line(text: str) -> str:
    return f"\\&{text}" if text[:1] in (".", "'") else text


def _formatted(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"\\fB\1\\fR", _escaped(text))
    return _line(re.sub(r"(?<![\w/\\])_([^_\s][^_]*?)_(?!\w)", r"\\fI\1\\fR", text))


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _tag(option: Option) -> str:
    rest = option.rest
    metavar = rest.get("metavar") or option.names[0].lstrip("-").upper()
    if not option.names[0].startswith("-"):
        return f"_{metavar}_"
    names = ", ".join(f"**{name}**" for name in option.names)
    return names if rest.get("action") in ("store_true", "version") else f"{names} _{metavar}_"


def _usage(command: Command) -> list[str]:
    [group] = (each for each in build_parser([command])._actions if isinstance(each.choices, dict))
    parser = group.choices[command.name]
    parser.formatter_class = functools.partial(argparse.HelpFormatter, width=1000)
    usage = command.usage or parser.format_usage().removeprefix("usage: ")
    lines = (" ".join(line.split()) for line in re.split(r"\n(?= *charging_manager )", usage))
    plain = (line.replace("[-h] [--version] ", "") for line in lines)
    return [
        part for line in plain for part in textwrap.wrap(line, 70, subsequent_indent=8 * " ", break_on_hyphens=False)
    ]


def command_page() -> Page:
    page = Page("charging_manager", 1, "shares one grid connection among electric cars, at the site and from anywhere")
    page.head("SYNOPSIS").says("**charging_manager** _COMMAND_ [_OPTION_ ...]", "**charging_manager** **--version**")
    page.head("DESCRIPTION").says(
        "Charging Manager steers the charge points of a site so that no fuse is ever asked for more than it bears. The "
        "agent, cm\\-agent(8), runs at the site; the cloud server, cm\\-cloud(8), lets people in from anywhere. This "
        "program starts either, and does from the command line what must not need a browser.".replace("\\-", "-"),
        "Every command knows **--help**.",
    )
    page.head("COMMANDS")
    for command in COMMANDS:
        page.part(command.name).code(*_usage(command)).says(_sentence(command.summary))
        for tag, text in _run_options() if command.name == "run" else ((_tag(o), o.help) for o in command.options):
            page.item(tag, _sentence(text))
    page.head("EXIT STATUS")
    page.item("**0**", "It is done.")
    page.item("**1**", "It could not be done; one line says why, and what to do.")
    page.item("**2**", "Wrong usage; one line says what to write instead.")
    page.head("EXAMPLES")
    page.says("Look at it with simulated charge points and cars:").code("charging_manager demo")
    page.says("Set the admin password of the packaged agent:").code("sudo charging_manager passwd")
    page.says("Show a certificate of your own, in the renewal hook of an ACME client:").code(
        "charging_manager cloud_cert https://localhost:4443 fullchain.pem privkey.pem"
    )
    page.says("Keep the agent's state, while it runs:").code("charging_manager backup /safe/place/agent.tar.gz")
    _files(page)
    return _see(page, "cm-agent(8)", "cm-cloud(8)", "charging-manager.toml(5)", "charging-manager-drivers(5)")


def _run_options() -> Iterable[tuple[str, str]]:
    """The old syntax has a help text of its own: two columns, the second perhaps on the next line."""
    rows = re.findall(r"^  (\S.*?)(?:  +|\n {20,})(\S.*?)$", RUN_HELP, re.M)
    for left, text in rows:
        tags = [re.sub(r"^(\S+)(?: (.+))?$", lambda m: f"**{m[1]}**" + (f" _{m[2]}_" if m[2] else ""), one)
                for one in left.split(", ")]  # fmt: skip
        yield ", ".join(tags), text


def _options(options: type[DaemonOptions]) -> list[tuple[str, str, str]]:
    """Of a daemon: long name, what follows it, what it is for."""
    parameters: list[Any] = []
    flags: list[Any] = []
    reflect.accumulateClassList(options, "optParameters", parameters)
    reflect.accumulateClassList(options, "optFlags", flags)
    found = [(each[0], each[0].split("-")[-1].upper(), each[3]) for each in parameters]
    found += [(each[0], "", each[2]) for each in flags]
    for name in dir(options):
        method = getattr(options, name)
        if name.startswith("opt_") and name not in ("opt_help", "opt_version"):
            found.append((name[4:].replace("_", "-"), method.__code__.co_varnames[1].upper(), method.__doc__))
    return found


def daemon_page(options: type[DaemonOptions], summary: str, unit: str, *what: str) -> Page:
    name, table = options.tapname, options.daemon
    page = Page(name, 8, summary)
    page.head("SYNOPSIS").says(f"**twistd** **-n** **{name}** [_OPTION_ ...]", f"**systemctl start {unit}**")
    page.head("DESCRIPTION").says(
        *what,
        f"What the command line leaves open comes from the table [{table}] of charging-manager.toml(5).",
    )
    page.head("OPTIONS")
    for option, metavar, text in _options(options):
        page.item(f"**--{option}**" + (f" _{metavar}_" if metavar else ""), _sentence(text))
    page.head("SIGNALS")
    page.item("SIGTERM", _END[table])
    page.item("SIGHUP", _RELOAD[table])
    page.head("UNDER SYSTEMD").says(
        f"The unit **{unit}.service** starts it as a user of its own in a sandbox. **systemctl status {unit}** shows "
        f"in words how it stands, or why it could not start; **journalctl -u {unit}** shows its log.",
        _WATCHDOG[table],
        f"With **{unit}.socket** systemd listens in its place, on a port below 1024 too; nobody who calls during a "
        "restart is refused then, and the option for the port is not looked at.",
    )
    page.head("EXIT STATUS")
    page.item("**0**", "It was told to end, and did.")
    page.item("**1**", "It could not start or go on; the unit tries again.")
    page.item("**2**", "Its options or settings cannot be meant; the unit does not try again before they are mended.")
    _files(page)
    return _see(page, "charging_manager(1)", "charging-manager.toml(5)", "charging-manager-drivers(5)", "twistd(1)")


_END = {
    "agent": "Leave every charge point on its fallback, write down what waits, and end.",
    "cloud": "Tell every agent, finish what is under way, and end; agents come back by themselves.",
}
_RELOAD = {
    "agent": "Read the settings file's log level, the certificate's file and the driver folders again.",
    "cloud": "Read the settings file's log level and the certificate's file again.",
}
_WATCHDOG = {
    "agent": "When no cycle was decided for 30 s, systemd ends it and begins it anew; meanwhile every charge point is "
    "on its own fallback.",
    "cloud": "When it has not answered a call of its own for 60 s, systemd ends it and begins it anew.",
}


def settings_page() -> Page:
    page = Page("charging-manager.toml", 5, "settings of the processes of Charging Manager")
    page.head("DESCRIPTION").says(
        "A TOML file with the tables [agent] and [cloud]. It holds what belongs to the processes: ports, log, folders, "
        "certificates of others. Everything that is set in the browser is in the database, and not here. The programs "
        "only read it.",
        "It is looked for as the file of **--config**, then in the state directory, then in /etc/charging-manager. The "
        "command line wins over it. A mistake in it ends the program with the file, the place and the reason; "
        "**charging_manager check** _FILE_ looks beforehand.",
    )
    for title, options in (("AGENT", AgentOptions), ("CLOUD", CloudOptions)):
        page.head(title)
        words = {name.replace("-", "_"): text for name, _, text in _options(options)}
        for key, kind in options.known.items():
            page.item(f"**{key}** = _{_KINDS[kind]}_", _sentence(words.get(key) or SETTINGS[key]))
    page.head("EXAMPLES").code(
        "[agent]", "port = 8080", "loglevel = 3", 'drivers = ["/srv/drivers"]', "", "[cloud]", "port = 4443",
        "open_enrolment = true",
    )  # fmt: skip
    _files(page)
    return _see(page, "cm-agent(8)", "cm-cloud(8)", "charging_manager(1)")


def drivers_page() -> Page:
    page = Page("charging-manager-drivers", 5, "how a family of devices speaks")
    page.head("DESCRIPTION").says(
        "A driver is one file, _NAME_.toml: a table that says where the values of a device lie, what its codes mean, "
        "how it takes a current, and what it does by itself when it hears nothing. _NAME_.py is for what a table "
        "cannot say.",
        "Drivers are looked for in these folders, and later ones win: the packaged one, /etc/charging-manager/drivers, "
        "each folder of **--drivers**, and what was uploaded in the browser. They are looked at every 5 s. A file that "
        "is no driver is named with the reason, and hides nobody.",
        "Code is loaded only from folders that nobody but root or the daemon's user can write.",
    )
    schema = vocabulary.vocabulary((HERE / "drivers.md").read_text(encoding="utf-8"))
    page.head("WORDS").says("The most important of them; drivers.md has them all, with examples.")
    for word in (*WORDS, *STATES):
        page.item(f"**{word}**", _sentence(schema["properties"][word]["description"]))
    page.head("EXAMPLES").says("Begin one, look for mistakes, and try it without hardware:").code(
        "charging_manager drivers new acme-wall",
        "charging_manager drivers check acme-wall.toml",
        "charging_manager drivers simulate acme-wall --tcp 5020",
    )
    page.head("FILES")
    page.item("/usr/share/charging-manager/drivers", "The packaged drivers.")
    page.item("/etc/charging-manager/drivers", "Your own.")
    page.item("/usr/share/doc/charging-manager-common/docs/drivers.md", "The reference of every word.")
    return _see(page, "charging_manager(1)", "cm-agent(8)")


def _files(page: Page) -> None:
    page.head("FILES")
    page.item("/etc/charging-manager/charging-manager.toml", "Settings of the processes.")
    page.item(
        "/var/lib/charging-manager, /var/lib/charging-manager-cloud", "State of the agent and of the cloud server."
    )


def _see(page: Page, *others: str) -> Page:
    page.head("SEE ALSO").raw(
        ",\n".join(f".BR {_escaped(one[:-3])} {one[-3:]}" for one in others).replace(",\n", " ,\n")
    )
    return page


def made() -> Mapping[str, str]:
    """The text of every page by its file's name."""
    agent = daemon_page(
        AgentOptions,
        "shares a site's power among its charge points",
        "charging-manager",
        "The agent reads meters and charge points, decides every second how much current each may draw, and "
        "tells them. Its pages are on one port, for browsers on the site's network; with a cloud server they "
        "are reachable from anywhere.",
        "Until an admin password is set (**charging_manager passwd**) only browsers on the same machine are served.",
    )
    cloud = daemon_page(
        CloudOptions,
        "relays logged-in browsers to their installations",
        "charging-manager-cloud",
        "The cloud server keeps one tunnel to each agent, and passes on what logged-in browsers ask. The agents decide "
        "who may do what. Browsers and agents come to the same port.",
        "Until an admin password is set (**charging_manager passwd --cloud**) only browsers on the same machine are "
        "served, and no installation is admitted.",
    )
    return {page.file: str(page) for page in (command_page(), agent, cloud, settings_page(), drivers_page())}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in made().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
