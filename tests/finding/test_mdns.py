"""Announcements are understood, questions are asked for what is missing, and garbage is nothing."""

from __future__ import annotations

import os
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.names import dns

from charging_manager.finding.mdns import SERVICES, Ear, Service

SOURCE = IPv4Address("192.168.1.70")
HTTP = b"_http._tcp.local"


def packet(*records: dns.RRHeader, answer: int = 1) -> bytes:
    message = dns.Message(answer=answer)
    message.answers = list(records)
    made: bytes = message.toStr()
    return made


def pointer(name: bytes = b"Shelly EM", service: bytes = HTTP) -> dns.RRHeader:
    return dns.RRHeader(service, dns.PTR, payload=dns.Record_PTR(name + b"." + service, 120))


def place(name: bytes = b"Shelly EM", service: bytes = HTTP, port: int = 80) -> dns.RRHeader:
    full = name + b"." + service
    return dns.RRHeader(full, dns.SRV, 0x8001, payload=dns.Record_SRV(0, 0, port, b"Shelly.local", 120))


def address(text: str = "192.168.1.70") -> dns.RRHeader:
    return dns.RRHeader(b"shelly.local", dns.A, 0x8001, payload=dns.Record_A(text, 120))


def asked(ear: Ear) -> list[tuple[str, int]]:
    found = []
    for question in ear.questions():
        message = dns.Message()
        message.fromStr(question)
        assert len(question) < 1400 and not message.answer
        found += [(query.name.name.decode(), query.type) for query in message.queries]
    return found


def test_all_services_of_ours_are_asked_for() -> None:
    assert asked(Ear()) == [(service, dns.PTR) for service in SERVICES]


def test_one_packet_may_say_it_all_and_it_is_told_once() -> None:
    ear = Ear()
    told = ear.hear(packet(pointer(), place(), address()), SOURCE)
    assert told == [Service("shelly em", "_http._tcp.local", SOURCE, 80)]
    assert ear.hear(packet(pointer(), place(), address()), SOURCE) == []


def test_what_is_missing_is_asked_for() -> None:
    ear = Ear()
    assert ear.hear(packet(pointer()), SOURCE) == []
    assert asked(ear)[-1] == ("shelly em._http._tcp.local", dns.SRV)
    assert ear.hear(packet(place()), SOURCE) == []
    assert asked(ear)[-1] == ("shelly.local", dns.A)
    assert len(ear.hear(packet(address()), SOURCE)) == 1
    assert len(asked(ear)) == len(SERVICES)


def test_questions_of_others_and_services_of_others_are_nothing_to_us() -> None:
    ear = Ear()
    assert ear.hear(packet(pointer(), place(), address(), answer=0), SOURCE) == []
    assert (
        ear.hear(packet(pointer(service=b"_ipp._tcp.local"), place(service=b"_ipp._tcp.local"), address()), SOURCE)
        == []
    )
    assert ear.hear(packet(pointer(), place(port=0), address()), SOURCE) == []


def test_a_name_is_shown_without_what_would_spoil_a_terminal() -> None:
    (one,) = Ear().hear(packet(pointer(b"\x1b[31mred"), place(b"\x1b[31mred"), address()), SOURCE)
    assert one.name == "[31mred"


@given(st.binary(max_size=300))
def test_garbage_is_nothing(data: bytes) -> None:
    assert Ear().hear(data, SOURCE) == []


def test_torn_and_twisted_packets_are_nothing_worse() -> None:
    good = packet(pointer(), place(), address())
    for cut in range(len(good)):
        Ear().hear(good[:cut], SOURCE)
        Ear().hear(good[:cut] + os.urandom(4) + good[cut + 4 :], SOURCE)
    loop = bytes.fromhex("000084000000000100000000c00c000c0001000000780002c00c")
    assert Ear().hear(loop, SOURCE) == []


def test_memory_is_bounded() -> None:
    ear = Ear()
    for number in range(2000):
        name = f"box{number}".encode()
        ear.hear(packet(pointer(name), place(name)), SOURCE)
        if number > 600:
            break
    assert len(ear.instances) == 500 and len(ear.places) == 500
