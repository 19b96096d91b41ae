"""Where a device is: ``tcp://host[:502]?unit=1``, ``rtu:///dev/ttyUSB0?baud=19200&unit=3``, ``rtutcp://host:port?unit=1``,
``http://host[:80]``, ``https://host[:443]``, ``mqtt://broker[:1883]/prefix``, ``mqtts://…``, ``push:name``,
``ocpp:identity[/connector]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen

from charging_manager.errors import ConfigError

WHERE = "address"
"""The field that a ConfigError of this module names."""

MODBUS_PORT = 502
HTTP_PORT = 80
HTTPS_PORT = 443
MQTT_PORT = 1883
MQTTS_PORT = 8883
_PUSHED = re.compile(r"[a-z0-9-]{1,32}")
_PARITIES = ("N", "E", "O")
IDENTITY = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,48}")
"""Of a charge point: what OCPP 2.0.1 allows (identifierString); 1.6 leaves it to the maker."""


@frozen
class TcpAddress:
    """A unit behind a Modbus TCP endpoint."""

    host: str
    port: int = MODBUS_PORT
    unit: int = 1
    connector: int = 1
    """Which one, where a device with several answers for all of them at one unit."""

    @property
    def endpoint(self) -> str:
        """What is shared by all units behind one bus: two addresses with the same one belong on the same bus."""
        return f"tcp://{_bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return f"{self.endpoint}?unit={self.unit}" + _connector_text(self.connector)


@frozen
class RtuTcpAddress:
    """A unit on a serial line that a converter passes on, byte by byte, over TCP."""

    host: str
    port: int
    unit: int = 1
    echo: bool = False
    connector: int = 1

    @property
    def endpoint(self) -> str:
        """As for TcpAddress."""
        return f"rtutcp://{_bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return f"{self.endpoint}?unit={self.unit}" + ("&echo=1" if self.echo else "") + _connector_text(self.connector)


@frozen
class RtuAddress:
    """A unit on a serial line of this machine. ``echo``: the RS-485 adapter hears what we send."""

    device: str
    baud: int = 19200
    parity: str = "E"
    stopbits: int = 1
    unit: int = 1
    echo: bool = field(default=False)
    connector: int = 1

    @property
    def endpoint(self) -> str:
        """As for TcpAddress; the line's settings belong to the line, so they do not tell two buses apart."""
        return f"rtu://{self.device}"

    def __str__(self) -> str:
        settings = f"baud={self.baud}&parity={self.parity}&stopbits={self.stopbits}&unit={self.unit}"
        return f"{self.endpoint}?{settings}" + ("&echo=1" if self.echo else "") + _connector_text(self.connector)


@frozen
class HttpAddress:
    """A device that speaks HTTP; the paths are its driver's."""

    host: str
    port: int = HTTP_PORT
    unit: int = 1
    connector: int = 1
    tls: bool = False

    @property
    def endpoint(self) -> str:
        """As for TcpAddress."""
        return f"http{'s' if self.tls else ''}://{_bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return self.endpoint


@frozen
class MqttAddress:
    """A device at a broker; ``prefix`` is what its topics begin with."""

    host: str
    port: int = MQTT_PORT
    prefix: str = ""
    unit: int = 1
    connector: int = 1
    tls: bool = False

    @property
    def endpoint(self) -> str:
        """The broker."""
        return f"mqtt{'s' if self.tls else ''}://{_bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.prefix}"


@frozen
class PushAddress:
    """A device that tells us by itself; the name tells it from others."""

    name: str
    host: str = ""
    port: int = 0
    unit: int = 1
    connector: int = 1

    @property
    def endpoint(self) -> str:
        """Its own."""
        return f"push:{self.name}"

    def __str__(self) -> str:
        return self.endpoint


@frozen
class OcppAddress:
    """A charge point that calls us: its identity, and which of its connectors is meant."""

    identity: str
    connector: int = 1
    unit: int = 1

    @property
    def endpoint(self) -> str:
        """As for TcpAddress: all connectors share the charge point's connection."""
        return f"ocpp:{self.identity}"

    def __str__(self) -> str:
        return self.endpoint + (f"/{self.connector}" if self.connector != 1 else "")


Address = TcpAddress | RtuAddress | RtuTcpAddress | HttpAddress | MqttAddress | PushAddress | OcppAddress


def parse_address(text: str, *, to_listen: bool = False) -> Address:
    """The address that a person typed. Raises: ConfigError in one sentence that says what to type instead.

    ``to_listen``: for a simulator, which may leave the choice of a port to the system by naming port 0.
    """
    if text.strip()[:5].lower() == "ocpp:":
        return _ocpp(text.strip()[5:], to_listen)
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise ConfigError(
            WHERE, "{text} is no address; write for example tcp://192.168.1.20?unit=1", text=repr(text)
        ) from error
    if parts.fragment or parts.username is not None:
        raise ConfigError(
            WHERE,
            "{text} has a part that no address has; write for example tcp://192.168.1.20?unit=1",
            text=repr(text),
        )
    options = _options(parts.query)
    if parts.scheme == "rtu":
        return _serial(text, parts.netloc, unquote(parts.path), options)
    if parts.scheme in ("http", "https", "mqtt", "mqtts", "push"):
        if to_listen:
            raise ConfigError(WHERE, "a simulator speaks Modbus; write for example tcp://127.0.0.1:1502?unit=1")
        if parts.scheme == "push":
            return _pushed(text, parts.netloc, parts.path, options)
        if parts.scheme.startswith("mqtt"):
            return _at_broker(text, parts.scheme == "mqtts", parts.hostname, port, unquote(parts.path), options)
        if parts.path not in ("", "/") or options:
            raise ConfigError(
                WHERE, "{text} says more than the host; write for example http://192.168.1.20", text=repr(text)
            )
        usual = HTTPS_PORT if parts.scheme == "https" else HTTP_PORT
        host = _host(text, parts.hostname)
        return HttpAddress(host, _port(port if port is not None else usual, to_listen), tls=parts.scheme == "https")
    if parts.scheme not in ("tcp", "rtutcp"):
        raise ConfigError(
            WHERE,
            "{text} must begin with tcp://, rtu://, rtutcp://, http(s)://, mqtt(s):// or ocpp:; write for example "
            "tcp://192.168.1.20?unit=1",
            text=repr(text),
        )
    host = _host(text, parts.hostname)
    if parts.path not in ("", "/"):
        raise ConfigError(WHERE, "after the host comes ?unit=…, not {path}", path=repr(parts.path))
    unit, connector = _unit(options), _connector(options)
    if parts.scheme == "tcp":
        _nothing_left(options)
        return TcpAddress(host, _port(port if port is not None else MODBUS_PORT, to_listen), unit, connector)
    if port is None:
        raise ConfigError(
            WHERE, "rtutcp:// needs the converter's port; write for example rtutcp://192.168.1.20:4001?unit=1"
        )
    echo = _yes_or_no(options, "echo")
    _nothing_left(options)
    return RtuTcpAddress(host, _port(port, to_listen), unit, echo, connector)


def _at_broker(
    text: str, tls: bool, host: str | None, port: int | None, path: str, options: Mapping[str, str]
) -> MqttAddress:
    prefix = path.strip("/")
    if options or not prefix or len(prefix) > 100 or not prefix.isprintable() or set(prefix) & set("+#$ "):
        raise ConfigError(
            WHERE,
            "{text} does not say what the device's topics begin with; write for example "
            "mqtt://192.168.1.5/go-eCharger/123456",
            text=repr(text),
        )
    usual = MQTTS_PORT if tls else MQTT_PORT
    return MqttAddress(_host(text, host), _port(port if port is not None else usual, False), prefix, tls=tls)


def _pushed(text: str, netloc: str, path: str, options: Mapping[str, str]) -> PushAddress:
    if netloc or options or not _PUSHED.fullmatch(path):
        raise ConfigError(
            WHERE,
            "{text} names no device that tells us by itself; write push: and a name of small letters and digits",
            text=repr(text),
        )
    return PushAddress(path)


def _ocpp(text: str, to_listen: bool) -> OcppAddress:
    if to_listen:
        raise ConfigError(WHERE, "a simulator speaks Modbus; write for example tcp://127.0.0.1:1502?unit=1")
    identity, slash, connector = text.partition("/")
    if not IDENTITY.fullmatch(identity):
        raise ConfigError(
            WHERE,
            "after ocpp: comes the identity that the charge point reports, 1 to 48 of letters, digits and *-_=:+|@. ; "
            "write for example ocpp:CP001, or ocpp:CP001/2 for its second connector",
        )
    return OcppAddress(identity, _connector({"connector": connector} if slash else {}))


def _serial(text: str, netloc: str, path: str, options: dict[str, str]) -> RtuAddress:
    if netloc or not path.startswith("/") or path.endswith("/"):
        raise ConfigError(
            WHERE,
            "{text} names no serial device; write for example rtu:///dev/ttyUSB0?baud=19200&unit=1",
            text=repr(text),
        )
    baud = _number(options, "baud", 19200, 300, 4_000_000)
    parity = options.pop("parity", "E").upper()[:1]
    if parity not in _PARITIES:
        raise ConfigError(WHERE, "parity is N (none), E (even) or O (odd)")
    stopbits = _number(options, "stopbits", 1, 1, 2)
    unit, connector = _unit(options), _connector(options)
    echo = _yes_or_no(options, "echo")
    _nothing_left(options)
    return RtuAddress(path, baud, parity, stopbits, unit, echo, connector)


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigError(WHERE, "the same setting stands twice after the question mark; leave one out")
    return options


def _nothing_left(options: Mapping[str, str]) -> None:
    if options:
        raise ConfigError(
            WHERE, "{names} is no setting of such an address; leave it out", names=", ".join(map(repr, options))
        )


def _host(text: str, host: str | None) -> str:
    if not host or any(char.isspace() for char in host):
        raise ConfigError(WHERE, "{text} names no host; write for example tcp://192.168.1.20?unit=1", text=repr(text))
    return host


def _port(port: int, to_listen: bool) -> int:
    if not (0 if to_listen else 1) <= port <= 65535:
        raise ConfigError(WHERE, "a port is a number from 1 to 65535")
    return port


def _unit(options: dict[str, str]) -> int:
    return _number(options, "unit", 1, 0, 255)


def _connector(options: dict[str, str]) -> int:
    return _number(options, "connector", 1, 1, 1000)


def _connector_text(connector: int) -> str:
    return f"&connector={connector}" if connector != 1 else ""


def _number(options: dict[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    text = options.pop(name, None)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 9 and lowest <= int(text) <= highest):
        raise ConfigError(
            WHERE,
            "{name} is a whole number from {lowest} to {highest}, not {text}",
            name=name,
            lowest=lowest,
            highest=highest,
            text=repr(text),
        )
    return int(text)


def _yes_or_no(options: dict[str, str], name: str) -> bool:
    return bool(_number(options, name, 0, 0, 1))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_ip(host: str) -> int:
    """4 or 6 for a literal address, 0 for a name that must be looked up."""
    try:
        return ip_address(host.partition("%")[0]).version
    except ValueError:
        return 0
