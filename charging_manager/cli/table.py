"""All commands in one table; the parser, the help and the completion are made of it."""

from __future__ import annotations

import argparse
import re
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
        print(f"{self.prog}: {in_our_words(message)}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


QUOTE = "'"
_TYPES = {"int": "a whole number", "float": "a number"}
_THEIRS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"argument (\S+): invalid (int|float) value: (.*)", lambda m: f"{m[1]} is {m[3]}; it must be {_TYPES[m[2]]}"),
    (r"argument (\S+): expected one argument", lambda m: f"{m[1]} needs a value after it"),
    (
        r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)",
        lambda m: f"there is no {m[1].lower()} {m[2]}; choose {m[3].replace(QUOTE, '')}",
    ),
    (r"unrecognized arguments: (.*)", lambda m: f"nothing here is called {m[1]}"),
    (r"the following arguments are required: (.*)", lambda m: f"name {m[1]}"),
)


def in_our_words(message: str) -> str:
    """What argparse finds fault with, as a person would say it; what is not known here stays as it is."""
    for pattern, said in _THEIRS:
        found = re.fullmatch(pattern, message, re.S)
        if found is not None:
            return said(found)
    return message


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
