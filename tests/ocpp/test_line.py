"""Calls and answers: matched, one at a time, in time, checked; and what a peer may not do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.errors import DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.ocpp.line import MOST_BAD, MOST_HEARD, Line, Misbehaves
from charging_manager.ocpp.messages import BadFrame, parse
from charging_manager.ocpp.v16 import Version16
from charging_manager.ocpp.v201 import Version201
from charging_manager.ocpp.values import Request


class Rig:
    def __init__(self, version: Any = Version16.version) -> None:
        self.clock = Clock()
        self.sent: list[Any] = []
        self.troubles: list[str] = []
        self.hold: Deferred[dict[str, Any]] | None = None
        self.line = Line(
            version, self.clock, lambda text: self.sent.append(json.loads(text)), self.answer, self.troubles.append
        )

    async def answer(self, action: str, said: dict[str, Any]) -> dict[str, Any]:
        if self.hold is not None:
            return await self.hold
        if action == "Heartbeat":
            return {"currentTime": "2026-01-01T00:00:00Z"}
        raise BadFrame("NotSupported", "not here")

    def hear(self, *frame: Any) -> None:
        self.line.hear(json.dumps(frame))


BEAT = Request("TriggerMessage", {"requestedMessage": "Heartbeat"})
STATUS = Request("TriggerMessage", {"requestedMessage": "StatusNotification"})


class LineTests(SynchronousTestCase):
    def test_one_call_is_under_way_and_urgent_ones_go_first(self) -> None:
        rig = Rig()
        first, second = rig.line.ask(BEAT), rig.line.ask(BEAT)
        third = rig.line.ask(STATUS, urgent=True)
        assert len(rig.sent) == 1
        rig.hear(3, rig.sent[0][1], {"status": "Accepted"})
        assert self.successResultOf(first) == {"status": "Accepted"}
        assert rig.sent[1][3] == {"requestedMessage": "StatusNotification"}
        rig.hear(4, rig.sent[1][1], "NotSupported", "no", {})
        assert "NotSupported no" in str(self.failureResultOf(third, DeviceRefused).value)
        rig.clock.advance(15)
        assert "not answered in 15 s" in str(self.failureResultOf(second, DeviceSilent).value)
        rig.hear(3, rig.sent[2][1], {"status": "Accepted"})
        assert rig.line.waiting == 0

    def test_an_answer_that_is_not_as_the_schema_wants_it_is_nonsense(self) -> None:
        rig = Rig()
        asked = rig.line.ask(BEAT)
        rig.hear(3, "another", {"status": "Accepted"})
        self.assertNoResult(asked)
        rig.hear(3, rig.sent[0][1], {"status": "Perhaps"})
        self.failureResultOf(asked, DeviceNonsense)
        assert "status" in rig.troubles[0]

    def test_a_call_of_ours_that_breaks_the_schema_is_not_sent(self) -> None:
        rig = Rig()
        self.failureResultOf(rig.line.ask(Request("TriggerMessage", {"what": 1})), DeviceNonsense)
        assert rig.sent == []

    def test_who_waits_when_the_line_ends_hears_why(self) -> None:
        rig = Rig()
        asked = rig.line.ask(BEAT)
        rig.line.close("it has gone")
        assert str(self.failureResultOf(asked, DeviceSilent).value) == "it has gone"
        assert str(self.failureResultOf(rig.line.ask(BEAT), DeviceSilent).value) == "it has gone"
        assert rig.clock.getDelayedCalls() == []

    def test_calls_are_answered_with_results_and_errors(self) -> None:
        rig = Rig()
        rig.hear(2, "a", "Heartbeat", {})
        rig.hear(2, "b", "Heartbeat", {"more": 1})
        rig.hear(2, "c", "../../../etc/passwd", {})
        rig.hear(2, "d", "DataTransfer", {"vendorId": "x"})
        rig.hear(2, "e", "StatusNotification", {"connectorId": "one", "errorCode": "NoError", "status": "Available"})
        assert [(kind, id) for kind, id, *_ in rig.sent] == [(3, "a"), (4, "b"), (4, "c"), (4, "d"), (4, "e")]
        assert [frame[2] for frame in rig.sent[1:]] == [
            "FormationViolation",
            "NotImplemented",
            "NotSupported",
            "TypeConstraintViolation",
        ]

    def test_who_does_not_wait_for_answers_is_hung_up_on(self) -> None:
        rig = Rig()
        rig.hold = Deferred()
        for number in range(MOST_HEARD):
            rig.hear(2, str(number), "Heartbeat", {})
        with pytest.raises(Misbehaves, match="without waiting"):
            rig.hear(2, "more", "Heartbeat", {})
        rig.line.close("over")
        rig.hold.callback({"currentTime": "2026-01-01T00:00:00Z"})
        assert rig.sent == []

    def test_broken_json_is_named_and_after_ten_in_a_row_that_is_enough(self) -> None:
        rig = Rig()
        for _ in range(MOST_BAD - 1):
            rig.line.hear("{broken")
        assert "no JSON" in rig.troubles[0]
        rig.hear(2, "a", "Heartbeat", {})
        for _ in range(MOST_BAD - 1):
            rig.line.hear("[]")
        with pytest.raises(Misbehaves, match="in a row"):
            rig.line.hear("[1,2,3]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nul",
        "[" * 60_000,
        '[2,"a","Heartbeat",' + '{"a":' * 40 + "1" + "}" * 41 + "]",
        "[2,5,6,7]",
        '[3,"a"]',
        "9" * 5000,
    ]
    + ['[2,"","Heartbeat",{}]', '[2,"' + "x" * 65 + '","Heartbeat",{}]', '[3,"a",{"status":NaN}]', '[7,"a",{}]'],
)
def test_what_is_no_message_is_said_in_a_sentence(text: str) -> None:
    with pytest.raises(BadFrame) as caught:
        parse(text)
    assert len(str(caught.value)) <= 160


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ACTIONS = ("BootNotification", "MeterValues", "StartTransaction", "TransactionEvent", "StatusNotification", "Nothing")


@given(st.sampled_from([Version16(), Version201()]), st.sampled_from(ACTIONS), JSON, st.integers(1, 5))
def test_any_json_is_answered_or_named(dialect: Any, action: str, payload: Any, kind: int) -> None:
    rig = Rig(dialect.version)
    rig.line.hear(json.dumps([kind, "id", action, payload]))
    assert len(rig.sent) + len(rig.troubles) >= 1 or kind in (3, 4)
