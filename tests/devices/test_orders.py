"""What is written to a box and when, whatever we want, whatever it answers: never more than is wanted."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.devices.driver import Driver, Type
from charging_manager.devices.orders import NotAllowed, Order, Orders, Urgency
from tests.devices.rig import driver, shipped
from tests.devices.tables import table
from tests.support.strategies import examples

CHARGERS = {name: each for name, each in shipped().drivers.items() if each.setpoint is not None}


class Wire:
    """Takes orders as a box would, with the outcome that a test wants."""

    def __init__(self, made: Driver, **more: float) -> None:
        self.orders = Orders(made, **more)  # type: ignore[arg-type]
        self.now_s = 100.0
        self.sent: list[tuple[float, str, tuple[int, ...]]] = []

    def step(self, outcome: str = "ack") -> Order | None:
        order, _ = self.orders.due(self.now_s)
        if order is None:
            return None
        self.orders.guard(order)
        self.orders.sending(order, self.now_s)
        self.sent.append((self.now_s, order.register.name, order.words))
        if outcome == "ack":
            self.orders.acknowledged(order, self.now_s)
        else:
            self.orders.failed(order, self.now_s, None if outcome == "silent" else int(outcome))
        return order

    def rest(self) -> None:
        """Until nothing is due."""
        for _ in range(20):
            if self.step() is None:
                return
        raise AssertionError("it never comes to rest")

    def names(self) -> list[str]:
        return [name for _, name, _ in self.sent]


@pytest.fixture
def acme() -> Wire:
    wire = Wire(driver(table()), fallback_a=6.0)
    seen = {"setpoint_a": (160,), "enable": (1,), "failsafe_s": (30,), "failsafe_a": (60,), "applied_a": (160,)}
    wire.orders.shown(seen, {"applied_a": 16.0, "failsafe_s": 30, "failsafe_a": 6.0}, 99.0)
    return wire


def test_nothing_is_written_when_all_is_as_wanted(acme: Wire) -> None:
    assert acme.orders.confirmed_a == 16.0
    assert acme.step() is None
    acme.orders.want(16.04)
    assert acme.step() is None
    assert acme.orders.due(acme.now_s) == (None, None)


@pytest.mark.parametrize(
    ("wanted", "legal"),
    [(16.0, 16.0), (10.09, 10.0), (6.0, 6.0), (5.99, 0.0), (0.0, 0.0), (-1, 0.0), (99.0, 32.0), (math.nan, 0.0)],
)
def test_setpoints_are_rounded_down(acme: Wire, wanted: float, legal: float) -> None:
    assert acme.orders.legal(wanted) == legal


def test_the_boxs_own_maximum_bounds_too(acme: Wire) -> None:
    acme.orders.hardware_max_a = 16.0
    assert acme.orders.legal(32.0) == 16.0
    acme.orders.hardware_max_a = 4.0
    assert acme.orders.legal(32.0) == 0.0


def test_a_reduction_counts_only_once_it_is_acknowledged(acme: Wire) -> None:
    acme.orders.want(8.0)
    acme.step("silent")
    assert (acme.orders.confirmed_a, acme.orders.commanded_a) == (16.0, 8.0)
    acme.now_s += 5
    acme.rest()
    assert (acme.orders.confirmed_a, acme.orders.commanded_a) == (8.0, None)


def test_a_raise_counts_from_when_it_is_sent(acme: Wire) -> None:
    acme.orders.want(32.0)
    acme.step("silent")
    assert (acme.orders.confirmed_a, acme.orders.commanded_a) == (16.0, 32.0)
    acme.orders.want(10.0)  # nobody knows whether the 32 A arrived
    assert acme.orders.reduction_waits
    assert max(acme.orders.confirmed_a or 0, acme.orders.commanded_a or 0) == 32.0
    acme.now_s += 5
    acme.rest()
    assert (acme.orders.confirmed_a, acme.orders.commanded_a) == (10.0, None)


def test_a_pause_leaves_the_setpoint_and_resuming_sets_it_before_it_enables(acme: Wire) -> None:
    acme.orders.want(0.0)
    acme.rest()
    assert acme.sent[-1][1:] == ("enable", (0,)) and acme.orders.confirmed_a == 0.0
    acme.sent.clear()
    acme.orders.want(8.0)
    acme.step()
    assert acme.orders.confirmed_a == 0.0, "it is still paused"
    acme.rest()
    assert acme.names() == ["setpoint_a", "enable"]
    assert acme.orders.confirmed_a == 8.0


def test_somebody_elses_change_is_noticed_and_written_over(acme: Wire) -> None:
    acme.orders.want(16.0)
    acme.now_s = 110.0
    assert acme.orders.shown({"setpoint_a": (320,)}, {}, 109.0) == ["setpoint_a"]
    assert acme.orders.confirmed_a == 32.0, "that is what it obeys now"
    acme.rest()
    assert acme.sent[-1][1:] == ("setpoint_a", (160,))
    assert acme.orders.confirmed_a == 16.0


def test_a_reading_from_before_a_write_proves_nothing(acme: Wire) -> None:
    acme.orders.want(8.0)
    acme.rest()
    assert acme.orders.shown({"setpoint_a": (160,)}, {}, acme.now_s - 1) == []
    assert acme.orders.confirmed_a == 8.0


def test_a_box_that_obeys_more_than_it_was_told_is_believed_and_told_again(acme: Wire) -> None:
    acme.orders.want(8.0)
    acme.rest()
    acme.sent.clear()
    assert acme.orders.shown({"applied_a": (160,)}, {"applied_a": 16.0}, acme.now_s + 1) == [], "it may need a moment"
    acme.now_s += 10
    assert acme.orders.shown({"applied_a": (160,)}, {"applied_a": 16.0}, acme.now_s) != []
    assert acme.orders.confirmed_a == 16.0
    acme.rest()
    assert "setpoint_a" in acme.names()
    assert acme.orders.confirmed_a == 16.0, "an acknowledgement was not enough the last time"
    acme.now_s += 1
    acme.orders.shown({"applied_a": (80,)}, {"applied_a": 8.0}, acme.now_s)
    assert acme.orders.confirmed_a == 8.0


def test_a_box_that_obeys_less_is_told_again_now_and_then() -> None:
    wire = Wire(CHARGERS["keba-p30"], fallback_a=6.0)
    armed = {"failsafe_s": (0, 60), "failsafe_a": (0, 6000)}
    wire.orders.shown(armed, {"failsafe_s": 60, "failsafe_a": 6.0}, 99.0)
    wire.orders.want(16.0)
    times = []
    for _ in range(2 * 3600):
        wire.now_s += 1
        wire.orders.shown({"applied_a": (0, 10000)}, {"applied_a": 10.0}, wire.now_s)
        order = wire.step()
        if order is not None and order.register.name == "setpoint_a":
            times.append(wire.now_s)
    assert times[1] - times[0] <= 90
    assert 5 <= len(times) <= 9, "each time it is left alone for longer"
    assert wire.orders.confirmed_a == 16.0, "what it may draw is what we told it"


def test_flash_is_written_only_when_it_differs(acme: Wire) -> None:
    acme.orders.fallback_a = 10.0
    acme.rest()
    assert acme.names() == ["failsafe_a"]
    acme.now_s += 1
    acme.orders.shown({"failsafe_a": (100,)}, {"failsafe_a": 10.0}, acme.now_s)
    for _ in range(100):
        acme.now_s += 60
        assert acme.step() is None
    acme.orders.shown({"failsafe_a": (60,)}, {"failsafe_a": 6.0}, acme.now_s)
    acme.rest()
    assert acme.orders.written == {"failsafe_a": 2}


def test_a_fallback_below_the_minimum_is_a_stop(acme: Wire) -> None:
    acme.orders.fallback_a = 5.0
    assert acme.orders.legal_fallback() == 0.0
    acme.orders.fallback_a = 99.0
    acme.orders.hardware_max_a = 16.0
    assert acme.orders.legal_fallback() == 16.0


def test_a_refused_write_is_not_repeated_all_the_time(acme: Wire) -> None:
    acme.orders.want(8.0)
    acme.step("3")
    tries = 0
    for _ in range(60):
        acme.now_s += 1
        tries += acme.step("3") is not None
    assert 2 <= tries <= 5
    busy = Wire(driver(table()))
    busy.orders.want(8.0)
    busy.step("6")
    busy.now_s += 2.1
    assert busy.step() is not None


def test_reductions_go_before_preparation_and_preparation_before_raises() -> None:
    for wanted, first in ((8.0, "setpoint_a"), (20.0, "failsafe_a")):
        wire = Wire(driver(table()), fallback_a=10.0)
        shown = {"setpoint_a": (160,), "enable": (1,), "failsafe_s": (0,), "failsafe_a": (60,)}
        wire.orders.shown(shown, {}, 99.0)
        wire.orders.want(wanted)
        wire.rest()
        assert wire.names()[0] == first
        assert sorted(wire.names()) == ["failsafe_a", "failsafe_s", "setpoint_a"]


def test_a_pending_reduction_is_due_at_the_first_legal_moment_and_food_waits_for_it() -> None:
    wire = Wire(CHARGERS["keba-p30"], fallback_a=6.0)
    orders = wire.orders
    orders.shown({"applied_a": (0, 16000)}, {"applied_a": 16.0}, 99.0)
    armed = {"failsafe_s": (0, 60), "failsafe_a": (0, 6000)}
    orders.shown(armed, {"failsafe_s": 60, "failsafe_a": 6.0}, 99.0)
    orders.want(16.0)
    for _ in range(3):
        wire.step()
        fed_s = wire.now_s
        wire.now_s += 5
    assert wire.names() == ["setpoint_a", "enable", "failsafe_s_set"]
    wire.now_s = fed_s + 30.0  # food is due again in this very moment, and a reduction comes
    orders.want(8.0)
    order = wire.step()
    assert order is not None and order.urgency is Urgency.LOWER
    order, wait_s = orders.due(wire.now_s)
    assert order is None and wait_s == pytest.approx(5.0)
    orders.want(7.0)
    wire.now_s += 4.9
    assert wire.step() is None
    wire.now_s += 0.1
    order = wire.step()
    assert order is not None and order.words == (7000,)


def test_a_higher_setpoint_waits_where_cars_follow_slowly_and_a_lower_one_never() -> None:
    wire = Wire(CHARGERS["heidelberg-energy-control"], fallback_a=6.0)
    shown = {"setpoint_a": (100,), "standby": (4,), "failsafe_s": (15000,), "failsafe_a": (60,)}
    wire.orders.shown(shown, {}, 99.0)
    wire.orders.want(8.0)
    wire.rest()
    wire.orders.want(12.0)
    assert wire.step() is None
    assert wire.orders.due(wire.now_s)[1] == pytest.approx(20.0)
    wire.orders.want(7.0)
    assert wire.step() is not None
    wire.now_s += 20
    wire.orders.want(12.0)
    assert wire.step() is not None


def test_a_box_that_was_fed_too_late_is_told_again_what_it_does_not_show() -> None:
    wire = Wire(CHARGERS["webasto-next"], fallback_a=6.0)
    wire.orders.shown({"failsafe_a": (6,), "failsafe_s": (60,)}, {}, 99.0)
    wire.orders.want(10.0)
    wire.rest()
    wire.sent.clear()
    wire.now_s += 30  # late, and still in time
    wire.rest()
    assert wire.names() == ["alive"]
    wire.now_s += 61  # nobody ran for a minute: it may have written the fallback over its setpoint
    wire.rest()
    assert wire.names() == ["alive", "alive", "setpoint_a"]


def test_the_guard_lets_nothing_through_that_was_not_declared(acme: Wire) -> None:
    made = acme.orders.driver
    with pytest.raises(NotAllowed, match="not among"):
        acme.orders.guard(Order(made.registers["hidden"], (1,), Urgency.LOWER))
    with pytest.raises(NotAllowed, match="not among"):
        acme.orders.guard(Order(made.registers["state"], (1,), Urgency.LOWER))
    keba = Orders(CHARGERS["keba-p30"])
    with pytest.raises(NotAllowed, match="outside"):
        keba.guard(Order(keba.driver.registers["setpoint_a"], (5000,), Urgency.LOWER))


def test_a_meter_takes_no_setpoint() -> None:
    with pytest.raises(NotAllowed):
        Orders(shipped().drivers["eastron-sdm630"]).want(10.0)


@pytest.mark.parametrize("made", CHARGERS.values(), ids=CHARGERS.keys())
@given(data=st.data())
@examples(60, 3000)
def test_whatever_happens_the_worst_case_covers_what_the_box_obeys(made: Driver, data: st.DataObject) -> None:
    """A box that takes writes, loses answers, and restarts: never does it obey more than the orders admit."""
    wire = Wire(made, fallback_a=6.0)
    orders, rule = wire.orders, made.setpoint
    assert rule is not None
    box: dict[str, float] = {rule.register: 16.0, **{write.register: write.value for write in rule.resume}}

    def obeys() -> float:
        return 0.0 if all(box.get(write.register) == write.value for write in rule.pause) else box[rule.register]

    def look() -> None:
        if rule.applied is not None and rule.applied != rule.register:
            orders.shown({rule.applied: ()}, {rule.applied: obeys()}, wire.now_s)
        readable = {name: value for name, value in box.items() if made.registers[name].function is not None}
        words = {name: orders._words(made.registers[name], value) for name, value in readable.items()}
        orders.shown(words, {rule.register: obeys()}, wire.now_s)

    look()
    for _ in range(data.draw(st.integers(1, 25))):
        wire.now_s += data.draw(st.sampled_from([0.5, 1.0, 6.0, 21.0]))
        action = data.draw(st.sampled_from(["want", "write", "write", "write", "look", "lost"]))
        if action == "want":
            orders.want(data.draw(st.floats(0.0, 40.0)))
        elif action == "look":
            look()
        elif action == "lost":
            orders.forget()
        else:
            arrives, outcome = data.draw(
                st.sampled_from([(True, "ack"), (True, "silent"), (False, "silent"), (False, "3")])
            )
            before, _ = orders.due(wire.now_s)
            if before is None:
                continue
            order = wire.step(outcome)
            assert order is not None
            if arrives and order.register.name in box:
                box[order.register.name] = wire_value(made, order)
                assert order.register.name != rule.register or box[rule.register] <= (orders.target_a or 0.0) + 1e-6
        known = [amps for amps in (orders.confirmed_a, orders.commanded_a) if amps is not None]
        admitted = max(known, default=math.inf)  # nothing known: all that the hardware can do
        assert obeys() <= admitted + 1e-6
        assert orders.target_a is None or orders.target_a == 0 or rule.lowest_a <= orders.target_a <= rule.highest_a


def wire_value(made: Driver, order: Order) -> float:
    """What the box understands."""
    number = 0
    for word in order.words:
        number = number << 16 | word
    if order.register.type is Type.F32:
        return float(struct.unpack(">f", number.to_bytes(4, "big"))[0])
    return round(number * made.registers[order.register.name].scale, 6)
