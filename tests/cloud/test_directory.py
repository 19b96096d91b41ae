"""Where each tunnel is, and which of two counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from charging_manager.cloud.directory import Directory
from charging_manager.tunnel.node_link import Entry, NodeAsker

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Asker:
    def __init__(self, node: str) -> None:
        self.node = node


def asker(node: str) -> NodeAsker:
    return cast(NodeAsker, Asker(node))


def directory(me: str = "a", at: datetime = NOON) -> tuple[Directory, list[str]]:
    displaced: list[str] = []
    return Directory(me, lambda: at, displaced.append), displaced


def test_a_tunnel_elsewhere_is_found_until_it_or_its_server_goes() -> None:
    here, _ = directory()
    b, c = asker("b"), asker("c")
    here.heard(b, [Entry("Garage", 1, "v1", "cm-label"), Entry("bakery", 2)])
    here.heard(c, [Entry("garage", 5, "v2")])
    found = here.find("GARAGE")
    assert found is not None and (found.program, found.asker) == ("v2", c)
    labelled = here.named("cm-label")
    assert labelled is not None and labelled.asker is b
    here.lost(c)
    found = here.find("garage")
    assert found is not None and found.asker is b
    here.heard(b, [Entry("garage", 1, here=False)])
    assert here.find("garage") is None and here.named("cm-label") is None
    assert len(here) == 1
    here.lost(b)
    here.lost(b)
    assert here.find("bakery") is None


def test_the_newer_tunnel_wins_wherever_it_is_and_however_clocks_differ() -> None:
    slow = datetime(2020, 1, 1, tzinfo=UTC)
    a, displaced_a = directory("a")
    b, displaced_b = directory("b", slow)
    old = a.came("garage", "v")
    b.heard(asker("a"), [old])  # b knows what a has, and its clock is years behind
    new = b.came("garage", "v")
    assert new.generation > old.generation
    a.heard(asker("b"), [new])
    assert displaced_a == ["garage"]
    b.heard(asker("a"), [old])
    assert displaced_b == []


def test_of_two_that_came_at_once_exactly_one_stays() -> None:
    a, displaced_a = directory("a")
    b, displaced_b = directory("b")
    from_a, from_b = a.came("garage", "v"), b.came("garage", "v")
    assert from_a.generation == from_b.generation
    a.heard(asker("b"), [from_b])
    b.heard(asker("a"), [from_a])
    assert (displaced_a, displaced_b) == (["garage"], [])


def test_a_label_is_told_when_it_changes_and_only_then() -> None:
    here, _ = directory()
    assert here.labelled("garage", "cm-x") is None
    here.came("garage", "v")
    told = here.labelled("Garage", "cm-x")
    assert told is not None and told.label == "cm-x"
    assert here.labelled("garage", "cm-x") is None
    gone = here.went("garage")
    assert gone is not None and not gone.here
    assert here.went("garage") is None
    assert cast(Any, list(here.here())) == []


def test_a_domain_is_told_as_a_label_is_and_found_elsewhere() -> None:
    here, _ = directory()
    there, _ = directory("b")
    assert there.led_to("garage", "charge.example.org") is None
    there.came("garage", "v")
    there.labelled("garage", "cm-x")
    told = there.led_to("Garage", "charge.example.org")
    assert told is not None and (told.label, told.domain) == ("cm-x", "charge.example.org")
    assert there.led_to("garage", "charge.example.org") is None
    b = asker("b")
    here.heard(b, [told])
    found = here.named("charge.example.org")
    assert found is not None and found.asker is b
    assert here.named("other.example.org") is None
    gone = there.led_to("garage", None)
    assert gone is not None and gone.label == "cm-x"
    here.heard(b, [gone])
    assert here.named("charge.example.org") is None
