"""The registers of our own Modbus server: what is read, what may be written, and that the documentation says so."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charging_manager.agent.modbus_map import POINT_MAP, SITE_MAP, Form, Place, Registers, describe, words_of
from charging_manager.errors import DeviceRefused
from charging_manager.model.outside import Dimming
from charging_manager.model.reading import Status
from tests.agent.values import box, house, meter
from tests.agent.whole import Make, WholeAgent
from tests.support.strategies import LONG

VALUES = {
    "left": {
        "status": Status.CHARGING,
        "current_a": (10.0, 9.96, 0.0),
        "power_w": 4600.0,
        "energy_wh": 70_000.0,
        "session_wh": 1234.0,
    },
    "right": {"status": Status.FREE, "current_a": (0.0, 0.0, 0.0)},
    "grid": {"power_w": -1500.0},
}
DOCS = Path(__file__).resolve().parents[2] / "docs/grid-operator.md"


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    devices = (box("left", driver="keba-p30"), box("right", driver="keba-p30"), meter(driver="eastron-sdm630"))
    agent = agents(house(*devices), VALUES)
    agent.run(3)
    return agent


@pytest.fixture
def registers(agent: WholeAgent) -> Registers:
    return Registers(agent.site)


def read(registers: Registers, address: int, count: int = 1, function: int = 3) -> list[int]:
    return registers.handle(1, function, address, count, ())


def write(registers: Registers, address: int, *words: int) -> None:
    registers.handle(1, 16 if len(words) > 1 else 6, address, len(words), words)


def text(words: Sequence[int]) -> str:
    return struct.pack(f">{len(words)}H", *words).rstrip(b"\0").decode()


def u32(words: Sequence[int]) -> int:
    return words[0] << 16 | words[1]


def refused(registers: Registers, function: int, address: int, *words: int, count: int = 1) -> int:
    with pytest.raises(DeviceRefused) as caught:
        registers.handle(1, function, address, len(words) or count, words)
    return caught.value.code


def order(agent: WholeAgent) -> Dimming | None:
    agent.run(1)
    cycle = agent.site.steering.last
    assert cycle is not None
    return cycle.image.outside.dimming


def test_it_says_who_it_is_and_what_is_charged(registers: Registers) -> None:
    assert read(registers, 0, 2) == [0x434D, 1]
    assert text(read(registers, 10, 16)) == "AAAA-BBBB-CCCC-DDDD"
    assert text(read(registers, 26, 32)) == "House"
    assert read(registers, 100, 2) == [2, 1]
    assert u32(read(registers, 102, 2)) == 4600
    assert read(registers, 104, 4) == [100, 100, 0, 0]
    assert struct.unpack(">i", struct.pack(">2H", *read(registers, 108, 2)))[0] == -1500
    assert read(registers, 0, 2, function=4) == [0x434D, 1], "by function 4 too"


def test_every_charge_point_has_its_block(registers: Registers) -> None:
    assert read(registers, 1000, 1) == [2] and read(registers, 1050, 1) == [0]
    assert read(registers, 1003, 3) == [100, 100, 0]
    assert u32(read(registers, 1006, 2)) == 4600
    assert u32(read(registers, 1008, 2)) == 70_000
    assert u32(read(registers, 1010, 2)) == 1234
    assert u32(read(registers, 1056, 2)) == 0
    assert text(read(registers, 1014, 16)) == "left" and text(read(registers, 1064, 16)) == "right"
    assert read(registers, 1012, 2) == [60, 320]
    assert read(registers, 1007, 3) == [4600, 1, 70_000 & 0xFFFF], "halves of values too"


def test_what_is_not_known_is_no_number(agent: WholeAgent, registers: Registers) -> None:
    for device in agent.devices.values():
        device.silent = True
    agent.run(12)
    assert read(registers, 1000, 1) == [4]
    assert read(registers, 1003, 3) == [0xFFFF] * 3
    assert u32(read(registers, 1006, 2)) == 0xFFFFFFFF
    assert u32(read(registers, 108, 2)) == 0x80000000
    assert u32(read(registers, 102, 2)) == 0xFFFFFFFF
    assert read(registers, 107, 1) == [2]


def test_it_dims_with_and_without_a_limit(agent: WholeAgent, registers: Registers) -> None:
    assert read(registers, 200, 2) == [0, 0xFFFF]
    write(registers, 200, 1)
    assert order(agent) == Dimming(7560.0, "modbus")
    assert read(registers, 120, 2) == [1, 2]
    assert u32(read(registers, 122, 2)) == u32(read(registers, 124, 2)) == 7560
    write(registers, 201, 900)
    assert order(agent) == Dimming(9000.0, "modbus")
    write(registers, 200, 0)
    assert order(agent) is None
    assert read(registers, 120, 2) == [0, 0] and u32(read(registers, 122, 2)) == 0xFFFFFFFF
    write(registers, 200, 1, 800)
    assert order(agent) == Dimming(8000.0, "modbus")
    assert read(registers, 200, 2) == [1, 800]


def test_a_limit_that_was_written_first_comes_with_the_order(agent: WholeAgent, registers: Registers) -> None:
    write(registers, 201, 850)
    assert order(agent) is None
    write(registers, 200, 1)
    assert order(agent) == Dimming(8500.0, "modbus")


def test_its_sign_of_life_keeps_it_free(agent: WholeAgent, registers: Registers) -> None:
    agent.json("PUT", "grid-operator", {"heartbeat_s": 5})
    for number in range(10):
        write(registers, 202, number)
        agent.run(3)
        assert order(agent) is None
    assert read(registers, 202, 3) == [9, 5, 4]
    agent.run(3)
    assert order(agent) == Dimming(7560.0, "modbus")
    write(registers, 200, 0)
    assert order(agent) is None


def test_inputs_have_registers_where_they_are_configured(agent: WholeAgent, registers: Registers) -> None:
    inputs = [{"name": "Contact", "source": "modbus", "register": 7, "holds_s": 60}]
    agent.json("PUT", "inputs", {"inputs": inputs})
    assert read(registers, 300, 32) == [0xFFFF] * 32
    write(registers, 307, 1)
    agent.run(1)
    assert agent.site.inputs.view() == {"contact": True}
    assert read(registers, 307) == [1]
    agent.run(61)
    assert agent.site.inputs.view() == {"contact": None}
    assert refused(registers, 6, 306, 1) == 2
    assert refused(registers, 16, 306, 1, 1) == 2
    assert refused(registers, 6, 307, 2) == 3


@pytest.mark.parametrize("function", [1, 2, 5, 15, 22, 23, 43])
def test_other_functions_are_refused(registers: Registers, function: int) -> None:
    assert refused(registers, function, 0) == 1


@pytest.mark.parametrize("address", [58, 99, 111, 119, 126, 199, 205, 299, 332, 999, 1030, 1049, 1100, 65535])
def test_registers_that_are_not_there_are_refused(registers: Registers, address: int) -> None:
    assert refused(registers, 3, address) == 2
    assert refused(registers, 6, address, 0) == 2


def test_a_write_that_cannot_be_does_nothing_at_all(agent: WholeAgent, registers: Registers) -> None:
    assert refused(registers, 16, 200, 1, 60_001) == 3
    assert refused(registers, 16, 200, 2, 900) == 3
    assert refused(registers, 16, 199, 0, 1) == 2
    assert refused(registers, 16, 202, 1, 1) == 2
    assert refused(registers, 6, 122, 1) == 2
    assert refused(registers, 6, 1002, 320) == 2
    assert order(agent) is None and read(registers, 200, 3) == [0, 0xFFFF, 0]


def test_whatever_is_asked_there_is_an_answer_or_a_refusal(registers: Registers) -> None:
    dice = random.Random(14)
    answers = 0
    for _ in range(200_000 if LONG else 4000):
        function = dice.choice((1, 3, 4, 6, 16))
        address = dice.choice((dice.randrange(65536), dice.randrange(1200), dice.randrange(190, 340)))
        count = min(dice.choice((1, 2, dice.randrange(1, 126))), 65536 - address)
        words = tuple(dice.choice((0, 1, dice.randrange(65536))) for _ in range(count)) if function > 4 else ()
        try:
            answer = registers.handle(1, function, address, count, words)
        except DeviceRefused as error:
            assert error.code in (1, 2, 3)
        else:
            answers += 1
            assert len(answer) == (count if function < 5 else 0)
            assert all(0 <= word <= 0xFFFF for word in answer)
    assert answers > 100


@pytest.mark.parametrize(
    ("form", "value", "words"),
    [
        (Form.U16, None, (0xFFFF,)),
        (Form.U16, float("nan"), (0xFFFF,)),
        (Form.U16, -5, (0,)),
        (Form.U16, 1e9, (0xFFFE,)),
        (Form.U32, 1e12, (0xFFFF, 0xFFFE)),
        (Form.I32, -1e12, (0x8000, 1)),
        (Form.I32, float("inf"), (0x8000, 0)),
        (Form.I32, -1, (0xFFFF, 0xFFFF)),
        (Form.TEXT, "Zählerä", (0x5AC3, 0xA468, 0x6C65, 0x7200)),
        (Form.TEXT, None, (0, 0, 0, 0)),
    ],
)
def test_values_are_bounded_and_never_turn_round(form: Form, value: Any, words: tuple[int, ...]) -> None:
    count = {Form.U16: 1, Form.TEXT: 4}.get(form, 2)
    assert words_of(Place(0, form, "x", count), value) == words


def test_no_two_values_share_a_register() -> None:
    for cells in (SITE_MAP, POINT_MAP):
        taken = [at for cell in cells for at in range(cell.place.address, cell.place.end)]
        assert len(taken) == len(set(taken))
    assert max(cell.place.end for cell in POINT_MAP) <= 50


def test_the_documentation_has_this_very_table() -> None:
    found = DOCS.read_text().partition("<!-- registers -->\n")[2].partition("<!-- end -->")[0]
    assert found.strip() == describe().strip(), f"put this between the marks:\n{describe()}"
