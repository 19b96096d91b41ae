"""A connector by OCPP, with a charge point that answers as the test says, on a clock that the test moves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.devices.ocpp_box import OcppBox
from charging_manager.devices.ocpp_driver import LASTS_S, OCPP, RENEW_S
from charging_manager.devices.station import Station
from charging_manager.errors import DeviceRefused, DeviceSilent
from charging_manager.model.reading import Status
from charging_manager.ocpp.line import Line
from charging_manager.ocpp.v16 import Version16
from charging_manager.ocpp.values import Transaction

START_AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KEYS = {
    "MeterValueSampleInterval": "5",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage",
    "ChargeProfileMaxStackLevel": "3",
    "SupportedFeatureProfiles": "Core,SmartCharging",
}


class Book:
    """Everybody may charge; transactions are numbered."""

    charges_for_all = True
    own_token = "CM-1"

    def may_charge(self, token: str, identity: str, connector: int | None) -> bool:
        return True

    def running(self, identity: str) -> dict[int, str]:
        return {}

    async def take(self, identity: str, event: Transaction, late: bool) -> tuple[str, int, bool]:
        return event.number or "7", event.connector or 1, True


class Rig:
    def __init__(self, **keys: str) -> None:
        self.clock = Clock()
        self.keys = {**KEYS, **keys}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refuses: set[str] = set()
        self.course = [{"startPeriod": 0, "limit": 0}]
        self.station = Station("CP1", self.clock, self.now, Book())
        self.box = OcppBox("box", OCPP, self.station, 1, (0, 1, 2), self.clock, 6.0)
        self.connect()

    def now(self) -> datetime:
        return START_AT + timedelta(seconds=self.clock.seconds())

    def connect(self) -> None:
        dialect = Version16()
        self.line = Line(dialect.version, self.clock, self.heard, lambda *said: self.station.answer(dialect, *said))
        self.station.connected(dialect, self.line, lambda sentence: None)
        self.say("BootNotification", chargePointVendor="Maker", chargePointModel="Box")
        self.say("StatusNotification", connectorId=1, errorCode="NoError", status="Available")

    def say(self, action: str, **said: Any) -> None:
        self.line.hear(json.dumps([2, "x", action, said]))

    def heard(self, text: str) -> None:
        kind, id, *rest = json.loads(text)
        if kind != 2:
            return
        action, said = rest
        self.asked.append((action, said))
        if action in self.refuses:
            answer: dict[str, Any] = {"status": "Rejected"}
        elif action == "GetConfiguration":
            known = [{"key": key, "readonly": False, "value": value} for key, value in self.keys.items()]
            answer = {"configurationKey": known}
        elif action == "GetCompositeSchedule":
            schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": self.course}
            answer = {"status": "Accepted", "chargingSchedule": schedule}
        else:
            answer = {"status": "Accepted"}
        self.clock.callLater(0.01, self.line.hear, json.dumps([3, id, answer]))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            if round(self.clock.seconds() * 10) % 10 == 0 and self.station.line is not None:
                self.station.heard()  # a pong
                Deferred.fromCoroutine(self.box.read()).addErrback(lambda failure: failure.trap(DeviceSilent))

    def profiles(self) -> list[tuple[str, int, float, int | None]]:
        """Purpose, level, amperes and duration of all that were set."""
        found = []
        for action, said in self.asked:
            if action == "SetChargingProfile":
                one = said["csChargingProfiles"]
                (period,) = one["chargingSchedule"]["chargingSchedulePeriod"]
                duration = one["chargingSchedule"].get("duration")
                found.append((one["chargingProfilePurpose"], one["stackLevel"], period["limit"], duration))
        return found


class OcppBoxTests(SynchronousTestCase):
    def apply(self, rig: Rig, amps: float) -> None:
        done = Deferred.fromCoroutine(rig.box.apply(amps))
        rig.clock.pump([0.02] * 4)
        self.successResultOf(done)

    def test_the_fallback_is_for_good_and_the_setpoint_ends_by_itself(self) -> None:
        rig = Rig()
        rig.course = [{"startPeriod": 0, "limit": 13.7}, {"startPeriod": 60, "limit": 6}]
        rig.run(2)
        self.apply(rig, 13.78)
        assert rig.profiles()[0] == ("TxDefaultProfile", 2, 6.0, None)
        assert rig.profiles()[-1] == ("TxDefaultProfile", 3, 13.7, LASTS_S + 5)
        known = rig.box.obedience(rig.clock.seconds())
        assert (known.confirmed_a, known.commanded_a, known.answering) == (13.7, None, True)
        assert (known.fallback_a, known.fallback_after_s) == (6.0, 60.0)
        assert rig.box.condition.fallback == "programmed"
        count = len(rig.profiles())
        rig.run(RENEW_S + 2)
        assert rig.profiles()[count:] == [("TxDefaultProfile", 3, 13.7, LASTS_S + 5)]

    def test_a_transaction_gets_a_profile_of_its_own_and_one_without_it_the_default(self) -> None:
        rig = Rig()
        rig.run(2)
        self.apply(rig, 16)
        rig.say("StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
        rig.say("StartTransaction", connectorId=1, idTag="x", meterStart=5, timestamp=rig.now().isoformat())
        rig.run(1)
        assert rig.profiles()[-1] == ("TxProfile", 3, 16.0, LASTS_S + 5)
        self.apply(rig, 5)
        assert rig.profiles()[-1][2] == 0
        rig.say("StopTransaction", transactionId=7, meterStop=9, timestamp=rig.now().isoformat())
        rig.run(1)
        assert rig.profiles()[-1] == ("TxDefaultProfile", 3, 0.0, LASTS_S + 5)

    def test_a_charge_point_whose_setpoint_does_not_end_has_no_fallback(self) -> None:
        rig = Rig()
        rig.course = [{"startPeriod": 0, "limit": 16}]
        rig.run(2)
        self.apply(rig, 16)
        rig.run(1)
        assert rig.box.obedience(rig.clock.seconds()).fallback_a is None
        assert rig.box.condition.fallback == "none"

    def test_one_that_shows_more_than_it_was_told_counts_with_that(self) -> None:
        rig = Rig()
        rig.run(2)
        self.apply(rig, 8)
        rig.course = [{"startPeriod": 0, "limit": 20}]
        rig.run(61)
        assert rig.box.condition.last_error == "it was told 8 A and shows 20 A"
        assert rig.box.obedience(rig.clock.seconds()).confirmed_a == 20
        rig.course = [{"startPeriod": 0, "limit": 8}, {"startPeriod": 60, "limit": 6}]
        rig.run(12)
        assert rig.box.obedience(rig.clock.seconds()).confirmed_a == 8
        assert rig.box.condition.last_error is None

    def test_one_without_charging_profiles_is_named_and_nothing_is_confirmed(self) -> None:
        rig = Rig(SupportedFeatureProfiles="Core")
        rig.run(3)
        assert "no charging profiles" in (rig.box.condition.last_error or "")
        assert rig.box.obedience(rig.clock.seconds()).confirmed_a is None
        assert rig.profiles() == []

    def test_one_that_refuses_a_current_keeps_the_old_one_confirmed(self) -> None:
        rig = Rig()
        rig.run(2)
        self.apply(rig, 10)
        rig.refuses.add("SetChargingProfile")
        done = Deferred.fromCoroutine(rig.box.apply(20))
        rig.clock.pump([0.02] * 4)
        self.failureResultOf(done, DeviceRefused)
        known = rig.box.obedience(rig.clock.seconds())
        assert (known.confirmed_a, known.commanded_a) == (10.0, 20.0)

    def test_a_lost_one_is_silent_and_is_told_all_again_when_it_is_back(self) -> None:
        rig = Rig()
        rig.run(2)
        self.apply(rig, 10)
        rig.station.lost(rig.line, "the connection was lost")
        self.failureResultOf(Deferred.fromCoroutine(rig.box.read()), DeviceSilent)
        assert not rig.box.obedience(rig.clock.seconds()).answering
        before = len(rig.profiles())
        rig.connect()
        rig.run(2)
        assert rig.profiles()[before:] == [("TxDefaultProfile", 2, 6.0, None), ("TxDefaultProfile", 3, 10.0, 65)]

    def test_values_come_fresh_or_are_unknown(self) -> None:
        rig = Rig()
        rig.run(2)
        rig.say("StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
        sampled = [{"value": "10", "measurand": "Current.Import", "phase": f"L{n}", "unit": "A"} for n in (1, 2, 3)]
        rig.say(
            "MeterValues", connectorId=1, meterValue=[{"timestamp": rig.now().isoformat(), "sampledValue": sampled}]
        )
        reading = self.successResultOf(Deferred.fromCoroutine(rig.box.read()))
        assert (reading.status, reading.current_a) == (Status.CHARGING, (10.0, 10.0, 10.0))
        rig.run(14)
        reading = self.successResultOf(Deferred.fromCoroutine(rig.box.read()))
        assert reading.current_a == (None, None, None)
        assert any(said.get("requestedMessage") == "MeterValues" for _, said in rig.asked)

    def test_a_car_that_only_stands_there_is_started_and_not_for_ever(self) -> None:
        rig = Rig()
        rig.run(2)
        rig.say("StatusNotification", connectorId=1, errorCode="NoError", status="Preparing")
        rig.run(400)
        starts = [said for action, said in rig.asked if action == "RemoteStartTransaction"]
        assert starts == [{"connectorId": 1, "idTag": "CM-1"}] * 3

    def test_a_device_that_is_made_anew_is_not_undone_by_the_old_one(self) -> None:
        rig = Rig()
        rig.run(2)
        self.apply(rig, 16)
        old, rig.box = rig.box, OcppBox("box", OCPP, rig.station, 1, (0,), rig.clock, 6.0)
        rig.run(2)
        self.apply(rig, 12)
        count = len(rig.profiles())
        self.successResultOf(Deferred.fromCoroutine(old.apply(6.0)))
        assert old.obedience(rig.clock.seconds()).confirmed_a == 6.0
        old.close()
        assert len(rig.profiles()) == count
        rig.say("StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
        rig.say("StartTransaction", connectorId=1, idTag="x", meterStart=5, timestamp=rig.now().isoformat())
        rig.run(1)
        assert rig.profiles()[-1] == ("TxProfile", 3, 12.0, LASTS_S + 5)
