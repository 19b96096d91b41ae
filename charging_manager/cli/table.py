"""All commands in one table; the parser, the help and the completion are made of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from attrs import field, frozen

from charging_manager import VERSION


@frozen
class Option:
    """One argument of a command: ``names`` start with dashes for an option, and with none for a position.

    ``rest`` goes to argparse's add_argument as it is.
    """

    names: tuple[str, ...]
    help: str
    rest: dict[str, Any] = field(factory=dict)


@frozen
class Command:
    """``run`` gets the parsed namespace and returns the exit status."""

    name: str
    summary: str
    run: Callable[[argparse.Namespace], int]
    options: tuple[Option, ...] = ()
    words: bool = False
    """It reads its own words (``run`` keeps an old syntax): no option but --help is parsed for it."""
    usage: str | None = None


class WrongUsage(Exception):
    """One line that says what to write instead; status 2."""


DATA = Option(("--data",), "state directory (default: the daemon's own)", {"metavar": "DIR"})


class OneLineParser(argparse.ArgumentParser):
    """Wrong usage costs one line and status 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def build_parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = OneLineParser(
        prog="charging_manager",
        description="Shares one grid connection among electric cars, at the site and from anywhere.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"charging_manager {VERSION}")
    groups = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=OneLineParser)
    for command in commands:
        sub = groups.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            usage=command.usage,
            allow_abbrev=False,
            prefix_chars="-",
        )
        sub.add_argument("--version", action="version", version=f"charging_manager {VERSION}")
        for option in command.options:
            sub.add_argument(*option.names, help=option.help, **option.rest)
        sub.set_defaults(command=command)
    return parser
