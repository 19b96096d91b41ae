"""End-to-end mode as it stands and changes, without a network: labels, zones, and what the check from outside does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from charging_manager.agent.end_to_end import CLAIM_AGAIN_S, FIRST_LOOK_S, LOOK_AGAIN_S, LOOK_S, EndToEnd, Stand
from charging_manager.agent.uplink import UplinkState
from charging_manager.tunnel.dial import ServerName, parse_server
from charging_manager.tunnel.reasons import trouble


class Side:
    """The live connection: what it can, and what the cloud answers to a claim."""

    def __init__(self, zone: str = "", can_splice: bool = True) -> None:
        self.can_splice = can_splice
        self.answer: Deferred[str] = succeed(zone)
        self.claims: list[bytes] = []

    def claim(self, claim: bytes) -> Deferred[str]:
        self.claims.append(claim)
        return self.answer


class Uplink:
    """What the mode needs of the cloud service."""

    def __init__(self, server: str = "cloud.example:443") -> None:
        self.server, self.side, self.state = server, None, UplinkState.WAITING
        self.settings = self
        self.moved: Any = None

    def target(self) -> ServerName | None:
        return parse_server(self.server)

    def watch(self, callback: Any) -> None:
        self.moved = callback

    def come(self, side: Any) -> None:
        self.side, self.state = side, UplinkState.CONNECTED if side else UplinkState.WAITING
        self.moved()


class House:
    def __init__(self, folder: Path, server: str = "cloud.example:443") -> None:
        self.clock = Clock()
        self.seen: str | None = None
        self.looks: list[ServerName] = []
        self.door = EndToEnd(self.clock, folder, True, look=self._look)
        self.uplink = Uplink(server)
        self.door.follow(self.uplink)  # type: ignore[arg-type]

    async def _look(self, reactor: Any, server: ServerName) -> str:
        self.looks.append(server)
        if self.seen is None:
            raise trouble("name-not-found")
        return self.seen


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "end-to-end")


def test_the_address_is_under_the_clouds_zone_or_under_the_name_that_was_dialled(house: House) -> None:
    house.uplink.come(Side())
    assert house.door.stand is Stand.OPEN
    label = house.door.label
    assert house.door.url == f"https://{label}.cloud.example:443/"
    house.uplink.come(None)
    assert house.door.stand is Stand.NO_TUNNEL
    house.uplink.come(Side("other.example:8443"))
    assert house.door.url == f"https://{label}.other.example:8443/"


def test_the_label_stays_over_restarts_and_goes_with_a_new_address(house: House, tmp_path: Path) -> None:
    house.uplink.come(Side())
    label, key = house.door.label, house.door.tls.fingerprint
    again = House(tmp_path / "end-to-end")
    again.uplink.come(Side())
    assert (again.door.label, again.door.tls.fingerprint) == (label, key)
    again.door.new_address()
    assert again.door.label != label
    assert again.door.tls.fingerprint == key


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    by_number = House(tmp_path / "a", "192.0.2.1:4443")
    by_number.uplink.come(Side())
    assert by_number.door.stand is Stand.NO_NAME
    demo = House(tmp_path / "d", "127.0.0.1:4443")
    demo.uplink.come(Side())
    assert demo.door.url == f"https://{demo.door.label}.localhost:4443/"
    old = House(tmp_path / "b")
    old.uplink.come(Side(can_splice=False))
    assert old.door.stand is Stand.NOT_OFFERED
    taken = House(tmp_path / "c")
    side = Side()
    side.answer = fail(trouble("label-taken"))
    taken.uplink.come(side)
    assert taken.door.stand is Stand.LABEL_TAKEN
    side.answer = succeed("")
    taken.clock.advance(CLAIM_AGAIN_S)
    assert taken.door.stand is Stand.OPEN


def test_it_looks_at_once_and_then_again_and_only_its_own_key_clears_a_suspicion(house: House) -> None:
    house.seen = house.door.tls.fingerprint
    house.uplink.come(Side())
    house.clock.advance(FIRST_LOOK_S)
    assert (house.door.look, len(house.looks)) == ("ok", 1)
    house.seen = "cd" * 32
    house.clock.advance(LOOK_S)
    assert house.door.read_along
    house.seen = None
    house.clock.advance(LOOK_AGAIN_S)
    assert house.door.read_along  # that nothing answers proves nothing
    house.seen = house.door.tls.fingerprint
    house.clock.advance(LOOK_AGAIN_S)
    assert (house.door.look, len(house.looks)) == ("ok", 4)
    house.uplink.come(None)
    house.clock.advance(10 * LOOK_S)
    assert len(house.looks) == 4


def test_off_means_that_the_label_is_given_back_and_nobody_comes_in(house: House) -> None:
    house.door.serve(Factory(), Factory())
    side = Side()
    house.uplink.come(side)
    assert house.door.is_open()
    house.door.use(False)
    assert side.claims[-1] == b""
    assert (house.door.is_open(), house.door.stand) == (False, Stand.OFF)
    assert not house.clock.getDelayedCalls()
