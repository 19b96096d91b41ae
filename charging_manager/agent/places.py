"""Where charge points hang and what budgets rest on: what nobody changes from afar.

Which cable hangs on which fuse is known at the site alone. So each address keeps the place that was last said for it at
the site (where nobody there has said anything, the first that was said), also when its device has been removed:
removing a box and adding it elsewhere would be moving it. What an address cannot tell is whether another host name or
another line leads to the same box.
"""

from __future__ import annotations

import socket
import unicodedata
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from posixpath import normpath

from attrs import evolve

from charging_manager.agent.config import Configuration, DeviceSettings, Kind, Place
from charging_manager.control.wiring import wire
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, MqttAddress, OcppAddress, PushAddress, RtuAddress, parse_address

MOST_PLACES = 2000
"""With so many remembered, new addresses are added at the site only: requests from afar cannot fill the disk."""


def said_at_site(config: Configuration, device: DeviceSettings, before: DeviceSettings | None = None) -> Configuration:
    """From now on, this is where the device's address hangs. Another address of the same machine was a mistake."""
    if device.kind is not Kind.CHARGE_POINT:
        return config
    known = {**config.places, address_key(device.address): _place(device)}
    if before is not None and _machine(before.address) == _machine(device.address):
        in_use = {address_key(other.address) for other in config.devices.values()}
        known = {key: place for key, place in known.items() if key in in_use or key != address_key(before.address)}
    return evolve(config, places=known)


def with_places(config: Configuration) -> Configuration:
    """The configuration with a place for every charge point; those that have one keep it."""
    boxes = [device for device in config.devices.values() if device.kind is Kind.CHARGE_POINT]
    new = {key: _place(box) for box in boxes if (key := address_key(box.address)) not in config.places}
    return evolve(config, places={**config.places, **new}) if new else config


def may_be_placed_from_afar(config: Configuration, device: DeviceSettings) -> bool:
    """Whether what is remembered of this charge point's address allows the device to be there.

    An address that is new must fit all that is known of the same machine: many boxes answer to any unit, and most know
    nothing of connectors.
    """
    known = config.places.get(address_key(device.address))
    if known is not None:
        return _fits(device, known)
    machine = _machine(device.address)
    return len(config.places) < MOST_PLACES and all(
        _fits(device, place) for key, place in config.places.items() if key.startswith(machine)
    )


def brings_back_a_circuit(old: Configuration, new: Configuration) -> bool:
    """Whether a circuit is new that something remembered hangs on: with other limits it would be another one."""
    return any(place.circuit in new.circuits.keys() - old.circuits.keys() for place in old.places.values())


def budgets_rest_on(config: Configuration) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """By circuit: the meter that sees all of it, or else those of its house load."""
    wiring = wire(config.site(""))
    return {
        circuit.id: (meter, loads)
        for circuit, meter, loads in zip(wiring.circuits, wiring.meters, wiring.loads, strict=True)
    }


def address_key(text: str) -> str:
    """The same for every way to write an address; settings of the line are left out."""
    try:
        address = parse_address(text)
    except ConfigError:
        return text.strip()  # an address that nothing runs on
    return f"{_endpoint(address)}?unit={address.unit}&connector={address.connector}"


def chosen_at_site(text: str) -> bool:
    """Such an address is chosen at the site: requests and logins could reach anything else in its network, and who
    pushes is known there alone."""
    return text.strip().lower().startswith(("http", "mqtt", "push"))


def _machine(text: str) -> str:
    """What the keys of all addresses begin with that may lead to the same box: on a line, units tell boxes apart."""
    try:
        address = parse_address(text)
    except ConfigError:
        return text.strip()
    line = f"{_endpoint(address)}?"
    return f"{line}unit={address.unit}&" if address.endpoint.startswith("rtu") else line


def _endpoint(address: Address) -> str:
    if isinstance(address, RtuAddress):
        return f"rtu://{normpath('/' + address.device.lstrip('/'))}"
    if isinstance(address, PushAddress | OcppAddress):
        return address.endpoint
    plain = evolve(address, host=_normal_host(address.host))
    return str(plain) if isinstance(plain, MqttAddress) else plain.endpoint


def _normal_host(host: str) -> str:
    """One name for ``127.0.0.1``, ``127.1``, ``0x7f000001``, ``::ffff:127.0.0.1`` and ``127.0.0.1.``."""
    plain = unicodedata.normalize("NFKC", host).partition("%")[0].lower().rstrip(".")
    with suppress(OSError, UnicodeError):  # a name, or IPv6
        plain = socket.inet_ntoa(socket.inet_aton(plain))
    try:
        found = ip_address(plain)
    except ValueError:
        return plain
    return str(found.ipv4_mapped or found) if isinstance(found, IPv6Address) else str(found)


def _place(device: DeviceSettings) -> Place:
    return Place(device.circuit, device.phases, device.max_a, device.max_w)


def _fits(device: DeviceSettings, place: Place) -> bool:
    return (
        (device.circuit, device.phases) == (place.circuit, place.phases)
        and device.max_a <= place.max_a
        and not raises(place.max_w, device.max_w)
    )


def raises(before: float | None, after: float | None) -> bool:
    """Whether a limit that may be absent lets more pass than before."""
    return before is not None and (after is None or after > before)
