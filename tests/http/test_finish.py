"""A daemon that stops answers what was asked; everything else ends at once."""

from __future__ import annotations

from pathlib import Path

from charging_manager.http.web import FINISH_S
from tests.http.wire import Town, Wire, request


def finished(town: Town) -> list[object]:
    done: list[object] = []
    town.site.finish().addCallback(done.append)
    return done


def test_what_is_being_asked_is_answered_and_then_it_is_over(tmp_path: Path) -> None:
    town = Town(tmp_path)
    asking, idle, fresh = town.connect("192.0.2.1"), town.connect("192.0.2.2"), town.connect("192.0.2.3")
    asking.send(request("GET", "/api/v1/slow"))
    idle.send(request())
    assert idle.reply().status == 200
    done = finished(town)
    assert idle.transport.closed and fresh.transport.closed and not asking.transport.closed
    close(idle)
    close(fresh)
    town.clock.pump([0.1] * 10)
    assert not done
    town.house.waiting[0].callback({"slow": True})
    assert asking.reply().json() == {"slow": True}
    town.clock.pump([0.1] * 2)
    assert asking.transport.closed and not asking.transport.aborted
    close(asking)
    town.clock.pump([0.1] * 2)
    assert done == [None] and not town.clock.getDelayedCalls()


def test_nothing_is_waited_for_longer_than_a_few_seconds(tmp_path: Path) -> None:
    town = Town(tmp_path)
    asking = town.connect()
    asking.send(request("GET", "/api/v1/slow"))
    done = finished(town)
    town.clock.pump([0.1] * int(FINISH_S * 10 - 2))
    assert not done and not asking.transport.closed
    town.clock.pump([0.1] * 4)
    assert done == [None] and asking.transport.aborted


def test_streams_end_at_once_whoever_reads_them(tmp_path: Path) -> None:
    town = Town(tmp_path)
    reader = town.connect()
    reader.send(request("GET", "/api/v1/events"))
    done = finished(town)
    assert town.house.streams[0].events == ["stopped"]
    town.clock.pump([0.1] * 3)
    if reader.transport.closed:
        close(reader)
    town.clock.pump([0.1] * 3)
    assert done == [None]


def close(wire: Wire) -> None:
    wire.lose()
