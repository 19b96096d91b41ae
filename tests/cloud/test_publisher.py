"""Proofs that the cloud publishes: for whom, how many, for how long, and what a kill leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from charging_manager.cloud.publisher import AGAIN_S, AT_ONCE, KEEP_S, PER_HOUR, Publisher
from charging_manager.dns.ask import DnsError
from charging_manager.tunnel.reasons import Refusal
from tests.agent.waiting import result_of

LABEL = "cm-aaaaaaaaaaaaaaaa"
NAME = f"_acme-challenge.{LABEL}.cloud.example"


class Zone:
    """A zone in memory, at a server that may be down."""

    def __init__(self) -> None:
        self.records: set[tuple[str, str]] = set()
        self.trouble: str | None = None

    async def put_text(self, name: str, value: str, *, alone: bool) -> None:
        self._try()
        if alone:
            self.records = {one for one in self.records if one[0] != name}
        self.records.add((name, value))

    async def take_text(self, name: str, value: str) -> None:
        self._try()
        self.records.discard((name, value))

    def _try(self) -> None:
        if self.trouble is not None:
            raise DnsError(self.trouble, server="ns.example", answer="X")


class House:
    def __init__(self, folder: Path) -> None:
        self.clock, self.zone, self.folder = Clock(), Zone(), folder
        self.publisher = self.open()

    def open(self) -> Publisher:
        made = Publisher(self.zone, "cloud.example", self.folder / "published.json", self.clock)  # type: ignore[arg-type]
        made.start()
        return made

    def put(self, value: str, owner: str = "ann", label: str = LABEL) -> str:
        return self._code(self.publisher.put(owner, label, value))

    def take(self, value: str, owner: str = "ann", label: str = LABEL) -> str:
        return self._code(self.publisher.take(owner, label, value))

    @staticmethod
    def _code(work: Any) -> str:
        try:
            return str(result_of(Deferred.fromCoroutine(work)))
        except Refusal as refusal:
            return refusal.code


def value(number: int) -> str:
    return f"{number:043d}"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_value_is_published_under_the_label_and_taken_away(house: House) -> None:
    assert house.put(value(1)) == NAME
    assert house.zone.records == {(NAME, value(1))}
    assert house.put(value(2)) == NAME  # a second one beside it
    assert len(house.zone.records) == 2
    assert house.take(value(1), owner="bob") == NAME  # not his
    assert len(house.zone.records) == 2
    house.take(value(1))
    house.take(value(2))
    assert (house.zone.records, len(house.publisher)) == (set(), 0)
    assert not house.clock.getDelayedCalls()


@pytest.mark.parametrize("wrong", ["", "short", "a" * 44, "a" * 42 + ".", "a" * 42 + '"', "cm-domain=" + "a" * 33])
def test_only_values_of_acme_are_published(house: House, wrong: str) -> None:
    assert house.put(wrong) == "refused"
    assert house.zone.records == set()


def test_few_at_once_and_few_an_hour_each(house: House) -> None:
    assert [house.put(value(n)) for n in range(AT_ONCE + 1)] == [NAME] * AT_ONCE + ["too-often"]
    assert house.put(value(0)) == NAME  # the same once more is no other
    assert house.put(value(9), owner="bob", label="cm-bbbbbbbbbbbbbbbb").startswith("_acme-challenge.cm-b")
    for n in range(AT_ONCE):
        house.take(value(n))
    for n in range(PER_HOUR - AT_ONCE):
        assert house.put(value(100 + n)) == NAME
        house.take(value(100 + n))
    assert house.put(value(7)) == "too-often"
    house.clock.advance(3601)
    assert house.put(value(7)) == NAME


def test_what_is_forgotten_goes_by_itself_even_if_the_server_is_down_for_a_while(house: House) -> None:
    house.put(value(1))
    house.zone.trouble = "dns-unreachable"
    house.clock.advance(KEEP_S)
    assert house.zone.records
    house.zone.trouble = None
    house.clock.advance(AGAIN_S)
    assert house.zone.records == set()


def test_what_a_killed_cloud_left_is_taken_away_by_the_next(house: House) -> None:
    house.put(value(1))
    house.publisher.stop()
    again = house.open()
    assert len(again) == 1
    house.clock.advance(0)
    assert (house.zone.records, len(again)) == (set(), 0)


@pytest.mark.parametrize("trouble", ["dns-unreachable", "dns-refused", "dns-key", "dns-timeout"])
def test_a_server_that_does_not_do_it_is_a_refusal_and_costs_no_place_for_long(house: House, trouble: str) -> None:
    house.zone.trouble = trouble
    assert house.put(value(1)) == "not-published"
    certain = trouble != "dns-timeout"
    assert len(house.publisher) == (0 if certain else 1)  # after a timeout it may be there: it is taken away later
    house.zone.trouble = None
    house.clock.advance(KEEP_S)
    assert len(house.publisher) == 0


def test_a_broken_file_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "published.json").write_text('[["a"], 7')
    assert House(tmp_path).put(value(1)) == NAME
