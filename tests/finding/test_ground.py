"""Where we may look: own private networks in pieces of at most 1024 addresses, everything else is one sentence."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from charging_manager.errors import ConfigError
from charging_manager.finding.ground import Interface, offered, permitted
from charging_manager.finding.interfaces import own_interfaces, spoken_to


def interface(name: str, address: str, length: int) -> Interface:
    return Interface(name, IPv4Address(address), IPv4Network(f"{address}/{length}", strict=False))


HOUSE = (
    interface("lo", "127.0.0.1", 8),
    interface("eth0", "192.168.1.7", 24),
    interface("eth1", "10.20.30.40", 16),
    interface("docker0", "172.17.0.1", 24),
    interface("ppp0", "203.0.114.9", 24),
    interface("tun0", "10.8.0.2", 32),
)


def test_the_own_networks_are_offered_and_of_a_large_one_the_piece_around_us() -> None:
    assert list(map(str, offered(HOUSE))) == ["192.168.1.0/24", "10.20.30.0/24"]


@pytest.mark.parametrize(
    "text", ["192.168.1.0/24", "192.168.1.128/25", "192.168.1.20", "10.20.4.0/22", "172.17.0.0/24"]
)
def test_own_networks_their_parts_and_single_addresses_are_searched(text: str) -> None:
    assert [str(one) for one in permitted([text], HOUSE, loopback=False)] == [text if "/" in text else f"{text}/32"]


def test_an_address_with_a_length_is_its_network() -> None:
    assert permitted([" 192.168.1.20/24 "], HOUSE, loopback=False) == (IPv4Network("192.168.1.0/24"),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.20.0.0/16", "10.20.0.0/16 has 65536 addresses, and at most 1024 are searched at once; name a part of it"),
        ("10.20.0.0/21", "10.20.0.0/21 has 2048 addresses"),
        ("0.0.0.0/0", "0.0.0.0/0 has 4294967296 addresses"),
        (
            "192.168.2.0/24",
            "192.168.2.0/24 is no private network of this machine; it is in 192.168.1.0/24, 10.20.0.0/16",
        ),
        ("203.0.114.0/24", "203.0.114.0/24 is no private network of this machine"),
        ("8.8.8.8", "8.8.8.8 is no private network of this machine"),
        ("192.168.0.0/22", "192.168.0.0/22 is no private network of this machine"),
        ("127.77.0.0/24", "127.77.0.0/24 is this machine itself"),
        ("fd00::/120", "fd00::/120 is an IPv6 network"),
        ("garage.local", "'garage.local' is no network; write numbers"),
        ("192.168.1", "'192.168.1' is no network"),
        ("192.168.1.0/33", "'192.168.1.0/33' is no network"),
        ("", "'' is no network"),
    ],
)
def test_what_is_not_to_be_searched_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        permitted([text], HOUSE, loopback=False)
    assert refused.value.where == "networks"
    assert refused.value.sentence.startswith(sentence) and "\n" not in refused.value.sentence


def test_the_machine_itself_may_be_named_where_that_is_allowed() -> None:
    assert permitted(["127.77.0.0/24"], (), loopback=True) == (IPv4Network("127.77.0.0/24"),)


def test_a_machine_without_networks_says_so() -> None:
    with pytest.raises(ConfigError, match="in no private network"):
        permitted(["192.168.1.0/24"], HOUSE[:1], loopback=False)


def test_no_more_than_eight_networks_are_searched_at_once() -> None:
    with pytest.raises(ConfigError, match="At most 8 networks"):
        permitted([f"192.168.1.{n}" for n in range(9)], HOUSE, loopback=False)


def test_this_machine_has_a_loopback_address() -> None:
    assert interface("lo", "127.0.0.1", 8) in own_interfaces()


def test_whom_this_machine_speaks_to_is_known() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert (IPv4Address("127.0.0.1"), server.getsockname()[1]) in spoken_to()
