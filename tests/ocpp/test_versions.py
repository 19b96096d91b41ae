"""Both versions to our values: states, meter values with their units and phases, profiles, courses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from charging_manager.model.reading import Status
from charging_manager.ocpp.dialects import choose
from charging_manager.ocpp.messages import BadFrame, Call, check
from charging_manager.ocpp.v16 import Version16
from charging_manager.ocpp.v201 import Version201
from charging_manager.ocpp.values import Course, Measured, Moment, Outlet, Profile, Purpose, Sample, Transaction

AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
OLD, NEW = Version16(), Version201()


def measured(*values: dict[str, Any], dialect: Any = OLD) -> Sample:
    where = {"connectorId": 1} if dialect is OLD else {"evseId": 1}
    said = {**where, "meterValue": [{"timestamp": "2026-05-01T12:00:00Z", "sampledValue": list(values)}]}
    check(Call("1", "MeterValues", said), "MeterValues", dialect.version)
    event = dialect.event("MeterValues", said)
    assert isinstance(event, Measured)
    return event.samples[0]


def amps(value: str, phase: str | None = None) -> dict[str, Any]:
    return {"value": value, "measurand": "Current.Import", "unit": "A"} | ({"phase": phase} if phase else {})


def test_currents_by_phase_power_energy_and_units() -> None:
    found = measured(
        amps("16.1", "L1"),
        amps("15.9", "L2"),
        amps("16.0", "L3"),
        {"value": "11.04", "measurand": "Power.Active.Import", "unit": "kW"},
        {"value": "1234.5", "unit": "kWh"},
        {"value": "231", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
        {"value": "62", "measurand": "SoC", "unit": "Percent", "location": "Body"},
    )
    assert found == Sample(AT, (16.1, 15.9, 16.0), (231.0, None, None), 11040.0, 1_234_500.0, soc_pct=62.0)


def test_phases_that_are_left_out_carry_nothing_only_if_the_others_explain_the_power() -> None:
    power = {"measurand": "Power.Active.Import", "unit": "W"}
    assert measured(amps("16", "L1"), {"value": "3700", **power}).current_a == (16.0, 0.0, 0.0)
    assert measured(amps("16", "L1"), {"value": "11000", **power}).current_a == (16.0, None, None)
    assert measured(amps("16", "L1")).current_a == (16.0, None, None)
    assert measured(amps("16")).current_a == (16.0, 16.0, 16.0)


def test_powers_of_phases_are_summed_and_what_is_no_number_is_unknown() -> None:
    one = {"value": "1000", "measurand": "Power.Active.Import"}
    assert measured({**one, "phase": "L1"}, {**one, "phase": "L2"}).power_w == 2000.0
    assert measured({"value": "NaN", "measurand": "Power.Active.Import"}).power_w is None
    assert measured({"value": "soon"}).energy_wh is None
    assert measured({"value": "5", "format": "SignedData"}).energy_wh is None


def test_the_newer_version_has_multipliers() -> None:
    unit = {"unit": "Wh", "multiplier": 3}
    assert measured({"value": 7.5, "unitOfMeasure": unit}, dialect=NEW).energy_wh == 7500.0
    wild = {"unit": "Wh", "multiplier": 400}
    assert measured({"value": 7.5, "unitOfMeasure": wild}, dialect=NEW).energy_wh is None


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Available", Status.FREE),
        ("Preparing", Status.PLUGGED),
        ("Charging", Status.CHARGING),
        ("SuspendedEV", Status.PLUGGED),
        ("Finishing", Status.PLUGGED),
        ("Unavailable", Status.FAULT),
        ("Faulted", Status.FAULT),
    ],
)
def test_states_of_the_older_version(said: str, status: Status) -> None:
    event = OLD.event("StatusNotification", {"connectorId": 2, "errorCode": "NoError", "status": said})
    assert event == Outlet(2, status, said)


def test_a_transaction_of_the_newer_version_says_how_charging_goes() -> None:
    said = {
        "eventType": "Started",
        "timestamp": "2026-05-01T12:00:00Z",
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "abc", "chargingState": "Charging"},
        "evse": {"id": 2},
        "idToken": {"idToken": "CARD", "type": "ISO14443"},
        "meterValue": [{"timestamp": "2026-05-01T12:00:00Z", "sampledValue": [{"value": 1000}]}],
    }
    check(Call("1", "TransactionEvent", said), "TransactionEvent", NEW.version)
    event = NEW.event("TransactionEvent", said)
    assert isinstance(event, Transaction)
    assert (event.moment, event.connector, event.number, event.token) == (Moment.BEGAN, 2, "abc", "CARD")
    assert (event.at, event.meter_wh, event.status) == (AT, 1000.0, Status.CHARGING)
    assert NEW.transaction_answer(event, "abc", may=False) == {"idTokenInfo": {"status": "Invalid"}}


@pytest.mark.parametrize("dialect", [OLD, NEW])
def test_all_that_we_ask_is_as_the_schemas_want_it(dialect: Any) -> None:
    profile = Profile(12, Purpose.NOW, 3, 13.7, AT, 65, 1, "17")
    known = dialect.abilities([])
    requests = [
        *dialect.ask_abilities(),
        *dialect.set_abilities(known, 5),
        dialect.set_profile(1, profile),
        dialect.set_profile(1, Profile(11, Purpose.DEFAULT, 2, 0.0)),
        dialect.clear_profiles(1),
        dialect.ask_course(1, 180),
        dialect.trigger("StatusNotification", 1),
        dialect.trigger("MeterValues", 1),
        dialect.trigger("BootNotification"),
        dialect.start(1, "CM-0123456789abcdef", 1),
        dialect.stop("17"),
    ]
    for request in requests:
        check(Call("1", request.action, request.payload), request.action, dialect.version)


def test_what_a_charge_point_must_not_say_is_not_supported() -> None:
    for dialect, action in ((OLD, "SetChargingProfile"), (NEW, "GetVariables")):
        with pytest.raises(BadFrame, match="not supported"):
            dialect.event(action, {})


def test_a_course_tells_what_will_hold() -> None:
    course = OLD.course(
        {
            "status": "Accepted",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 55, "limit": 6}, {"startPeriod": 0, "limit": 16}],
            },
        }
    )
    assert course == Course(((0.0, 16.0), (55.0, 6.0)))
    assert (course.now_a, course.at(54), course.at(70)) == (16.0, 16.0, 6.0)
    assert NEW.course({"status": "Rejected"}) is None


def test_the_newest_version_that_both_speak_is_chosen() -> None:
    for offered, number in ((["ocpp1.6", "ocpp2.0.1"], "2.0.1"), (["ocpp1.6"], "1.6")):
        dialect = choose(offered)
        assert dialect is not None
        assert dialect.version.number == number
    assert choose(["ocpp2.1", "ocpp2.0", "ocpp1.5"]) is None
    assert choose([]) is None
