"""The words of a driver for a device that speaks HTTP and JSON: ``[http]``, and where a value is shown and set."""

from __future__ import annotations

import re

from attrs import evolve

from charging_manager.devices import reasons as why
from charging_manager.devices.driver import Http, Login
from charging_manager.devices.parse_values import ReadValue, readable, writable
from charging_manager.devices.registers import HttpWrite, Register
from charging_manager.devices.tables import Table

METHODS = ("GET", "POST", "PUT")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}")
_OURS = frozenset({"host", "content-length", "content-type", "connection", "transfer-encoding", "cookie"})


def http_rules(table: Table) -> Http | None:
    """What ``[http]`` says, if it is there."""
    inner = table.table("http")
    if inner is None:
        return None
    login = inner.choice("login", Login, Login.ASKED)
    header = inner.text("token_header", "Authorization")
    if not _HEADER.fullmatch(header) or header.lower() in _OURS:
        sentence = 'the name of a header of the device is needed here, for instance "X-Api-Key"'
        inner.wrong("token_header", sentence, why.HEADER)
    if "token_header" in inner and login is not Login.TOKEN:
        inner.wrong("token_header", 'a header for a token goes with login = "token"', why.HEADER)
    made = Http(inner.whole("port", 80, lowest=1), _path(inner, "get", "") or None, login, header)
    inner.done()
    return made


def http_value(rules: Http) -> ReadValue:
    """How a value's own words are read."""

    def read_value(table: Table, made: Register) -> Register:
        get = _path(table, "get", rules.get or "") or None
        if made.json is not None and get is None:
            table.wrong("get", "say which path shows this value, here or in [http]", why.POINTER)
        made = readable(evolve(made, get=get), made.json is not None)
        rule = _set(table)
        return made if rule is None else writable(table, "set", evolve(made, set=rule))

    return read_value


def _path(table: Table, key: str, default: str | None = None) -> str:
    """The path that a request asks for."""
    path = table.text(key, default)
    if path and not (path.startswith("/") and path.isascii() and path.isprintable() and " " not in path):
        table.wrong(key, 'a path is needed here, in plain letters: for instance "/status"', why.HOSTLESS)
    if path and (path.startswith("//") or "#" in path):
        table.wrong(key, "the host belongs to the device's address; write the path alone", why.HOSTLESS)
    return path


def _set(table: Table) -> HttpWrite | None:
    inner = table.table("set")
    if inner is None:
        return None
    made = HttpWrite(inner.word("method", METHODS, "GET"), _path(inner, "path"), inner.maybe_text("body"))
    if made.method == "GET" and made.body is not None:
        inner.wrong("body", "a GET has no body", why.FORBIDDEN)
    if "{value}" not in made.path + (made.body or ""):
        inner.wrong("path", "{value} must stand in the path or in the body: there the number goes", why.VALUE_PLACE)
    inner.done()
    return made
