"""Where we may look: in this machine's own private networks, in pieces that a person can wait for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from attrs import frozen

from charging_manager.errors import ConfigError

LARGEST = 22
"""The shortest prefix that is searched: 1024 addresses."""

OFFERED = 24
"""Of a larger network of ours, the piece around our own address is offered."""

MOST_NETWORKS = 8
NO_SITE = ("lo", "docker", "br-", "veth", "virbr", "lxc", "podman")
"""Interfaces that lead to no cable: not offered, though they may be named."""


@frozen
class Interface:
    """One of this machine's own addresses."""

    name: str
    address: IPv4Address
    network: IPv4Network


def offered(interfaces: Iterable[Interface]) -> tuple[IPv4Network, ...]:
    """The networks to search when nobody names any, in the order of the interfaces."""
    found: dict[IPv4Network, None] = {}
    for one in interfaces:
        if one.name.startswith(NO_SITE) or not _searchable(one.network) or one.network.prefixlen > 30:
            continue
        wide = one.network.prefixlen < LARGEST
        found[IPv4Network((one.address, OFFERED), strict=False) if wide else one.network] = None
    return tuple(found)[:MOST_NETWORKS]


def permitted(texts: Sequence[str], interfaces: Sequence[Interface], *, loopback: bool) -> tuple[IPv4Network, ...]:
    """The networks that a person named. Raises: ConfigError for the first that is not to be searched.

    ``loopback``: this machine's own loopback addresses may be named too, where simulated devices live.
    """
    if len(texts) > MOST_NETWORKS:
        raise ConfigError(
            "networks", "At most {most} networks are searched at once; name fewer.", most=str(MOST_NETWORKS)
        )
    return tuple(dict.fromkeys(_permitted(text.strip(), interfaces, loopback) for text in texts))


def _permitted(text: str, interfaces: Sequence[Interface], loopback: bool) -> IPv4Network:
    network = _network(text)
    if network.prefixlen < LARGEST:
        raise ConfigError(
            "networks",
            "{text} has {count} addresses, and at most {most} are searched at once; name a part of it, as in {part}.",
            text=text,
            count=str(network.num_addresses),
            most=str(2 ** (32 - LARGEST)),
            part=str(next(network.subnets(new_prefix=OFFERED))),
        )
    if network.is_loopback:
        if loopback:
            return network
        raise ConfigError("networks", "{text} is this machine itself; name a network that it is in.", text=text)
    own = [one.network for one in interfaces if _searchable(one.network)]
    if any(network.subnet_of(mine) for mine in own):
        return network
    names = ", ".join(str(mine) for mine in dict.fromkeys(own))
    if not names:
        raise ConfigError("networks", "This machine is in no private network that could be searched.")
    raise ConfigError("networks", "{text} is no private network of this machine; it is in {own}.", text=text, own=names)


def _network(text: str) -> IPv4Network:
    try:
        found = ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(
            "networks",
            "{text} is no network; write numbers as in 192.168.1.0/24, or one address as in 192.168.1.20.",
            text=repr(text),
        ) from error
    if isinstance(found, IPv6Network):
        raise ConfigError(
            "networks", "{text} is an IPv6 network, which has too many addresses to search; name IPv4.", text=text
        )
    return found


def _searchable(network: IPv4Network) -> bool:
    return network.is_private and not network.is_loopback and not network.is_unspecified and network.prefixlen < 32


def has(networks: Iterable[IPv4Network], address: IPv4Address) -> bool:
    """Whether the address is in one of them."""
    return any(address in network for network in networks)
