"""The proofs are worth something: a wrong scale, sign, address, word order or watchdog in any table turns one red.

Every register that the facts know, with a vector or without, is spoilt in every way that makes sense for it, one way
at a time, and the proofs of its driver are run on the spoilt table. What stays green everywhere is a hole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from charging_manager.devices.driver import TEXTS, Driver, FedBy, Register, Type, Watchdog
from charging_manager.errors import ChargingManagerError
from tests.drivers import test_facts, test_golden, test_http, test_proofs
from tests.drivers.http_answers import ANSWERS
from tests.drivers.test_facts import DRIVERS, FACTS

OTHER_SIGN = {
    Type.U16: Type.I16,
    Type.I16: Type.U16,
    Type.U32: Type.I32,
    Type.I32: Type.U32,
    Type.U64: Type.I64,
    Type.I64: Type.U64,
}
NO_MISTAKE = {("cfos-power-brain", "power_w: sign")}
"""The fact file has it unsigned and says itself that it is not."""
GOLDEN = {path.stem: path for path in test_golden.GOLDEN}


def _scale(register: Register) -> Register | None:
    number = register.type not in TEXTS and register.bits is None
    return attrs.evolve(register, scale=register.scale * 10.0) if number else None


def _sign(register: Register) -> Register | None:
    if register.bits is None and register.type in OTHER_SIGN:
        return attrs.evolve(register, type=OTHER_SIGN[register.type])
    return attrs.evolve(register, scale=-register.scale) if register.type in (Type.F32, Type.F64) else None


def _address(register: Register) -> Register | None:
    return attrs.evolve(register, address=register.address + 1)


def _word_order(register: Register) -> Register | None:
    ordered = register.count > 1 and register.type not in TEXTS
    return attrs.evolve(register, low_word_first=not register.low_word_first) if ordered else None


SPOIL: tuple[Callable[[Register], Register | None], ...] = (_scale, _sign, _address, _word_order)


def spoilt(name: str) -> Iterator[tuple[str, Driver]]:
    """The driver with one mistake each, and what the mistake is."""
    driver = DRIVERS[name]
    for fact in FACTS[name]["registers"].values():
        for register in test_facts.mapped(driver, fact):
            for spoil in SPOIL:
                wrong = spoil(register)
                if wrong is not None:
                    registers = {**driver.registers, register.name: wrong}
                    yield f"{register.name}: {spoil.__name__.strip('_')}", attrs.evolve(driver, registers=registers)


def _facts_complain(name: str) -> bool:
    """The proofs that need no device, cheapest first."""
    proofs: tuple[Callable[[], None], ...] = (
        lambda: test_facts.test_the_vectors_of_the_facts_decode_to_their_values(name),
        lambda: test_golden.test_what_was_recorded_is_asked_and_understood(GOLDEN[name]),
        lambda: test_facts.test_words_of_which_no_two_are_alike_decode_as_an_independent_decoder_says(name),
        lambda: test_facts.test_types_scales_units_and_functions_agree(name),
        lambda: test_facts.test_no_register_is_invented(name),
        lambda: test_facts.test_every_register_is_mapped_or_left_alone_for_a_reason(name),
        test_facts.test_the_two_states_that_no_list_can_say,
    )
    return any(map(_is_red, proofs))


def _is_red(proof: Callable[[], None]) -> bool:
    try:
        proof()
    except (AssertionError, KeyError, StopIteration, ValueError, ChargingManagerError):
        return True
    return False


@pytest.mark.parametrize("name", FACTS)
def test_every_mistake_in_a_register_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _facts_complain(name), "as it is shipped, nothing is red"
    mistakes = dict(spoilt(name))
    assert mistakes
    missed = []
    for what, wrong in mistakes.items():
        monkeypatch.setitem(test_facts.DRIVERS, name, wrong)
        monkeypatch.setitem(test_golden.DRIVERS, name, wrong)
        if (name, what) not in NO_MISTAKE and not _facts_complain(name):
            missed.append(what)
    assert missed == []


def test_the_mistakes_are_many() -> None:
    assert sum(1 for name in FACTS for _ in spoilt(name)) > 1200


def _spoilt_document(name: str) -> Iterator[tuple[str, Driver]]:
    """The same for a driver whose values lie in a JSON document: every value that the documented answer tells."""
    driver = test_http.DRIVERS[name]
    for key, expected in ANSWERS[name][1].items():
        register = driver.registers[key]
        wrong = {"pointer": attrs.evolve(register, json=f"{register.json}x")}
        if isinstance(expected, float) and expected:
            wrong["scale"] = attrs.evolve(register, scale=register.scale * 10.0)
            if not (driver.unsigned_currents and key.startswith("current_")):  # whose sign is the power's
                wrong["sign"] = attrs.evolve(register, scale=-register.scale)
        for what, spoilt_register in wrong.items() if expected is not None else ():
            yield f"{key}: {what}", attrs.evolve(driver, registers={**driver.registers, key: spoilt_register})


@pytest.mark.parametrize("name", ANSWERS)
def test_every_mistake_in_a_value_of_a_document_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mistakes = dict(_spoilt_document(name))
    assert len(mistakes) >= 5
    missed = []
    for what, wrong in mistakes.items():
        monkeypatch.setitem(test_http.DRIVERS, name, wrong)
        if not _is_red(lambda: test_http.test_every_driver_understands_the_documented_answer(name)):
            missed.append(what)
    assert missed == []


WATCHED = {name: driver for name, driver in DRIVERS.items() if driver.watchdog is not None}


@pytest.mark.parametrize("name", WATCHED)
def test_a_watchdog_that_was_left_out_or_is_not_fed_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = WATCHED[name]
    watchdog = driver.watchdog
    assert watchdog is not None
    for wrong in _without(watchdog):
        broken = attrs.evolve(driver, watchdog=wrong)
        monkeypatch.setitem(test_facts.DRIVERS, name, broken)
        agrees = not _is_red(lambda: test_facts.test_transport_limits_and_watchdog_agree(name))
        lives = not _is_red(
            lambda: test_proofs.test_the_watchdog_stays_fed_for_ten_minutes_and_falls_back_when_we_stop(broken)  # noqa: B023
        )
        assert not (agrees and lives), wrong


def _without(watchdog: Watchdog) -> Iterator[Watchdog | None]:
    yield None
    if watchdog.fed_by is not FedBy.ANY_REQUEST:
        yield attrs.evolve(watchdog, every_s=10.0 * watchdog.timeout_s)


def test_a_driver_without_facts_would_be_noticed() -> None:
    assert {path.stem for path in (Path(test_facts.__file__).parent / "facts").glob("*.toml")} == set(DRIVERS)
