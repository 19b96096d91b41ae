"""Requests are as few as the device allows; turns are fair to every value."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from charging_manager.devices.driver import BusRules, Driver, Group, Kind, Register, Type
from charging_manager.devices.planner import Rounds, plan_reads, split
from tests.devices.rig import shipped
from tests.support.strategies import examples


def made(registers: list[Register], **rules: Any) -> Driver:
    return Driver("acme", "Acme", "X", Kind.METER, {r.name: r for r in registers}, ("manual",), bus=BusRules(**rules))


def at(address: int, count: int = 1, **more: Any) -> Register:
    kind = {1: Type.U16, 2: Type.U32, 4: Type.U64}[count]
    return Register(f"r{address}_{more.get('function', 3)}_{more.get('at_unit')}", address, kind, count, **more)


def spans(driver: Driver) -> list[tuple[int | None, int, int]]:
    plan = plan_reads(driver, driver.registers.values())
    return [(request.function, request.address, request.count) for request in plan]


def test_neighbours_share_a_request() -> None:
    assert spans(made([at(10), at(11, 2), at(13)])) == [(3, 10, 4)]


def test_gaps_are_crossed_only_where_that_is_allowed() -> None:
    registers = [at(10), at(20)]
    assert spans(made(registers)) == [(3, 10, 1), (3, 20, 1)]
    assert spans(made(registers, gaps=True)) == [(3, 10, 11)]


def test_a_request_is_never_longer_than_the_device_takes() -> None:
    registers = [at(n, 2) for n in range(0, 20, 2)]
    assert spans(made(registers, max_read=8)) == [(3, 0, 8), (3, 8, 8), (3, 16, 4)]


def test_functions_units_and_ports_never_mix() -> None:
    registers = [at(1), at(2, function=4), at(3, at_unit=2), at(4, at_port=4702)]
    assert len(spans(made(registers, gaps=True))) == 4


def test_alone_means_alone_but_parts_of_one_value_come_together() -> None:
    parts = [at(10, 2), Register("part", 10, Type.U32, 2, bits=(3, 3)), at(12, 2)]
    driver = made(parts, alone=True)
    plan = plan_reads(driver, parts)
    assert [request.names for request in plan] == [("r10_3_None", "part"), ("r12_3_None",)]
    assert plan[0].cut([1, 2]) == {"r10_3_None": (1, 2), "part": (1, 2)}


def test_a_refused_block_is_split_into_its_values() -> None:
    driver = made([at(10), at(11), at(12, 2)])
    (block,) = plan_reads(driver, driver.registers.values())
    assert [(part.address, part.count) for part in split(driver, block)] == [(10, 1), (11, 1), (12, 2)]


@given(
    addresses=st.sets(st.integers(0, 300), min_size=1, max_size=40),
    max_read=st.integers(1, 40),
    gaps=st.booleans(),
    alone=st.booleans(),
)
@examples(100, 3000)
def test_every_value_is_asked_once_and_every_request_is_legal(
    addresses: set[int], max_read: int, gaps: bool, alone: bool
) -> None:
    driver = made([at(address) for address in addresses], max_read=max_read, gaps=gaps, alone=alone)
    plan = plan_reads(driver, driver.registers.values())
    assert sorted(name for request in plan for name in request.names) == sorted(driver.registers)
    for request in plan:
        assert request.count <= max_read
        assert not alone or request.count == 1
        asked = set(range(request.address, request.address + request.count))
        assert gaps or asked <= addresses
        for register in request.registers:
            assert request.address <= register.address < request.address + request.count


def test_a_fast_device_gives_all_live_values_every_turn_and_slow_ones_when_due() -> None:
    rounds = Rounds(shipped().drivers["cfos-power-brain"])
    turns = [list(ask(rounds, float(second))) for second in range(120)]
    live = rounds.live()
    assert all(set(live) <= set(turn) for turn in turns)
    slow = [request for turn in turns for request in turn if request not in live]
    assert {slow.count(request) for request in set(slow)} <= {4, 5}
    assert max(len(turn) for turn in turns) <= len(live) + 2


def test_a_paced_device_serves_its_most_overdue_value_and_starves_none() -> None:
    rounds = Rounds(shipped().drivers["keba-p30"])
    last: dict[object, float] = {}
    oldest = 0.0
    for second in range(600):
        turn = ask(rounds, float(second))
        assert len(turn) == 2
        last.update(dict.fromkeys(turn, float(second)))
        if second > 60:
            oldest = max(oldest, *(second - last[request] for request in rounds.live()))
    assert oldest <= 5.0
    assert all(599 - last[request] <= 90 for request in rounds.everything())


def test_what_was_written_is_read_back_in_the_next_turn() -> None:
    rounds = Rounds(shipped().drivers["keba-p30"])
    for second in range(100):
        ask(rounds, float(second))
    rounds.wish(["failsafe_s", "failsafe_a"])
    asked = [name for request in (*ask(rounds, 100.0), *ask(rounds, 101.0)) for name in request.names]
    assert {"failsafe_s", "failsafe_a"} <= set(asked)


def ask(rounds: Rounds, now_s: float) -> tuple[Any, ...]:
    turn = rounds.turn(now_s)
    for request in turn:
        rounds.taken(request, now_s)
    return turn


def test_groups_are_what_the_driver_says() -> None:
    driver = shipped().drivers["keba-p30"]
    live = {register.name for register in driver.grouped(Group.LIVE)}
    assert {"state", "car_plugged", "applied_a", "current_l1_a"} <= live
