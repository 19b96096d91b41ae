"""From one phase to three and back, as pure steps."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from charging_manager.devices.driver import Driver, Value
from charging_manager.devices.phasing import AGAIN_S, STOPS_WITHIN_S, Facts, Phasing, Step, current_gone
from tests.devices.rig import driver
from tests.support.strategies import examples

TABLE = {
    "vendor": "Acme",
    "model": "Switch",
    "kind": "charger",
    "sources": ["the test"],
    "tcp": {"port": 502},
    "identify": {"vendor_code": 7},
    "registers": {
        "vendor_code": {"address": 0, "type": "u16", "group": "once", "example": 7},
        "state": {"address": 1, "type": "u16", "group": "live"},
        "current_l1_a": {"address": 2, "type": "u16", "scale": 0.1, "group": "live"},
        "firmware": {"address": 3, "type": "u16", "group": "once", "example": 5},
        "setpoint_a": {"address": 10, "type": "u16", "write": True, "group": "live", "min": 6, "max": 32},
        "source_set": {"address": 11, "type": "u16", "write": True, "read": False},
        "phases_set": {"address": 12, "type": "u16", "write": True, "read": False},
        "phases_state": {"address": 13, "type": "u16"},
    },
    "state": [{"is": "free", "when": {"state": 0}}, {"is": "plugged", "when": {"state": 1}}]
    + [{"is": "charging", "when": {"state": 2}}],
    "setpoint": {
        "register": "setpoint_a",
        "lowest_a": 6,
        "highest_a": 32,
        "step_a": 1,
        "pause": {"setpoint_a": 0},
    },
    "phases": {
        "register": "phases_set",
        "one": 0,
        "three": 1,
        "state": "phases_state",
        "state_one": 1,
        "state_three": 3,
        "when": {"firmware": {"from": 4}},
        "prepare": {"source_set": 3},
        "settle_s": 10,
        "every_s": 100,
    },
}
ACME = driver(TABLE)


class Story:
    """A box that is told things, second by second."""

    def __init__(self, made: Driver = ACME) -> None:
        self.driver, self.phasing, self.now_s = made, Phasing(), 1000.0
        self.values: dict[str, Value] = {"state": 2, "current_l1_a": 16.0, "firmware": 5, "phases_state": 3}
        self.paused_s: float | None = None
        self.wired = 3
        self.written: list[tuple[str, float]] = []

    def turn(self, seconds: float = 1.0, *, acknowledge: bool = True) -> Phasing:
        """Time passes, and everything is read anew."""
        self.now_s += seconds
        taken = dict.fromkeys(self.values, self.now_s)
        self.phasing.turn(self.driver, self.values, taken, Facts(self.now_s, self.wired, self.paused_s))
        while acknowledge and (due := self.phasing.due()) is not None:
            self.written.append((due.register, due.value))
            self.phasing.acknowledged(due.register, self.now_s)
        return self.phasing

    def stop(self) -> None:
        self.paused_s = self.now_s
        self.values |= {"state": 1, "current_l1_a": 0.0}


def test_it_is_stopped_prepared_switched_and_read_back_in_this_order() -> None:
    story = Story()
    story.phasing.wanted = 1
    assert story.turn().step is Step.STOPPING and story.phasing.phases == 3 and story.phasing.holds
    story.paused_s = story.now_s  # confirmed, and current still flows
    story.turn(5)
    assert story.phasing.step is Step.STOPPING and story.written == []
    story.stop()
    story.turn()
    assert story.written == [("source_set", 3), ("phases_set", 0)]
    assert story.phasing.step is Step.SETTLING and story.phasing.phases is None
    story.values["phases_state"] = 1
    assert story.turn(9).holds and story.phasing.looks_at(ACME, story.now_s) is None
    assert story.phasing.looks_at(ACME, story.now_s + 1) == "phases_state"
    assert not story.turn(1).holds
    assert (story.phasing.phases, story.phasing.switched, story.phasing.trouble) == (1, 1, None)


def test_what_was_read_before_it_settled_proves_nothing() -> None:
    story = Story()
    story.phasing.wanted = 1
    story.stop()
    story.turn()
    story.values["phases_state"] = 1
    old = dict.fromkeys(story.values, story.now_s)
    story.phasing.turn(ACME, story.values, old, Facts(story.now_s + 20, 3, story.paused_s))
    assert story.phasing.phases is None and story.phasing.holds


def test_whoever_wants_it_back_before_it_was_written_gets_it_at_once() -> None:
    story = Story()
    story.phasing.wanted = 1
    story.turn()
    story.phasing.wanted = 3
    assert not story.turn().holds and story.written == []
    story.phasing.wanted = 1
    story.turn()
    story.phasing.wanted = None
    assert not story.turn().holds and story.phasing.phases == 3


def test_between_two_changes_lies_what_the_driver_asks_for() -> None:
    story = Story()
    story.phasing.wanted = 1
    story.stop()
    story.turn()
    story.values["phases_state"] = 1
    story.turn(10)
    story.phasing.wanted = 3
    assert not story.turn(99).holds
    assert story.turn(2).step is Step.SETTLING


def test_a_refusal_is_named_and_not_tried_again_for_an_hour() -> None:
    story = Story()
    story.phasing.wanted = 1
    story.stop()
    story.turn(acknowledge=False)
    story.phasing.refused("setpoint_a", story.now_s)
    assert story.phasing.step is Step.WRITING, "another write is none of its business"
    story.phasing.refused("source_set", story.now_s)
    assert (story.phasing.trouble, story.phasing.may_switch, story.phasing.phases) == ("refused", False, 3)
    assert not story.turn(AGAIN_S - 10).holds
    assert story.turn(20).step is Step.SETTLING and story.phasing.may_switch


def test_a_car_that_does_not_stop_is_not_switched() -> None:
    story = Story()
    story.phasing.wanted = 1
    story.turn()
    story.paused_s = story.now_s
    story.turn(STOPS_WITHIN_S + 1)
    assert story.phasing.trouble == "still-charging" and not story.phasing.holds and story.written == []


def test_a_box_that_is_not_able_is_never_told() -> None:
    for change in ({"firmware": 3}, {"firmware": None}):
        story = Story()
        story.values |= change
        story.phasing.wanted = 1
        story.stop()
        assert not story.turn().able and story.written == [] and story.phasing.phases is None
    story = Story()
    story.wired, story.phasing.wanted = 1, 1
    assert not story.turn().able, "a box on one phase has nothing to switch"


def test_who_does_not_show_it_yet_is_not_told_either() -> None:
    story = Story()
    story.values["phases_state"] = None
    story.phasing.wanted = 1
    assert not story.turn().holds
    story.values["phases_state"] = 1
    assert not story.turn().holds and story.phasing.phases == 1


def test_silence_on_the_way_leaves_nothing_certain() -> None:
    story = Story()
    story.phasing.wanted = 1
    story.stop()
    story.turn()
    story.phasing.forget()
    assert story.phasing.phases is None and not story.phasing.holds
    assert not story.turn().holds, "it was written a moment ago: not again so soon"
    assert story.phasing.phases == 3


def test_no_current_is_only_believed_of_fresh_values() -> None:
    values: dict[str, Value] = {"state": 1, "current_l1_a": 0.0}
    assert current_gone(ACME, values, {"state": 5.0, "current_l1_a": 5.0}, 5.0)
    assert not current_gone(ACME, values, {"state": 5.0, "current_l1_a": 4.0}, 5.0)
    assert not current_gone(ACME, values | {"state": 2}, {"state": 5.0, "current_l1_a": 5.0}, 5.0)
    assert not current_gone(ACME, values | {"current_l1_a": 0.6}, {"state": 5.0, "current_l1_a": 5.0}, 5.0)
    assert current_gone(ACME, values | {"current_l1_a": None}, {"state": 5.0}, 5.0), "its state is all that it says"
    assert not current_gone(ACME, values | {"state": None, "current_l1_a": None}, {"state": 5.0}, 5.0)


happenings = st.lists(
    st.tuples(
        st.sampled_from((1, 3, None)),
        st.sampled_from((0.0, 0.3, 6.0, 16.0, None)),
        st.sampled_from((0, 1, 2, None)),
        st.booleans(),
        st.sampled_from((1, 3, None, 7)),
        st.sampled_from(("", "refuse", "forget", "late")),
        st.floats(0.5, 40.0),
    ),
    max_size=40,
)


@given(happenings)
@examples(150, 20000)
def test_whatever_happens_nothing_is_written_under_load_or_too_soon(happening: list[tuple]) -> None:  # type: ignore[type-arg]
    story = Story()
    wrote_s: list[float] = []
    for wanted, amps, state, paused, shown, event, seconds in happening:
        story.phasing.wanted = wanted
        story.values |= {"current_l1_a": amps, "state": state, "phases_state": shown}
        story.paused_s = (story.paused_s or story.now_s) if paused else None
        before = len(story.written)
        phasing = story.turn(seconds, acknowledge=event != "late")
        if event == "refuse":
            phasing.refused("phases_set", story.now_s)
        elif event == "forget":
            phasing.forget()
        new = [name for name, _ in story.written[before:]]
        if new:
            assert paused and (amps is None or amps < 0.5) and state in (0, 1)
        if "phases_set" in new:
            wrote_s.append(story.now_s)
        assert phasing.phases in (None, 1, 3)
        if phasing.step in (Step.WRITING, Step.SETTLING):
            assert phasing.phases is None and phasing.holds
    assert all(b - a >= 100.0 - 1e-6 for a, b in pairwise(wrote_s))
