"""OCPP 2.0.1 (edition 3): its messages to our values, and back. Its EVSE is our connector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from charging_manager.model.reading import Status
from charging_manager.ocpp.messages import BadFrame, Version
from charging_manager.ocpp.sampling import MEASURANDS, last_energy_wh, moment, samples, scale
from charging_manager.ocpp.v16 import course_of, iso, number_of, parts_of
from charging_manager.ocpp.values import (
    Abilities,
    Alive,
    Asks,
    Boot,
    Course,
    Event,
    Measured,
    Moment,
    Outlet,
    Profile,
    Request,
    Told,
    Transaction,
)

STATES = {
    "Available": Status.FREE,
    "Occupied": Status.PLUGGED,
    "Reserved": Status.FREE,
    "Unavailable": Status.FAULT,
    "Faulted": Status.FAULT,
}
CHARGING = {
    "Charging": Status.CHARGING,
    "EVConnected": Status.PLUGGED,
    "SuspendedEV": Status.PLUGGED,
    "SuspendedEVSE": Status.PLUGGED,
    "Idle": None,  # no car, or not known: the connector's own state says it
}
_MOMENTS = {"Started": Moment.BEGAN, "Updated": Moment.RUNS, "Ended": Moment.ENDED}
_INTERVAL = ("SampledDataCtrlr", "TxUpdatedInterval")
_DATA = ("SampledDataCtrlr", "TxUpdatedMeasurands")
_LEVEL = ("SmartChargingCtrlr", "ProfileStackLevel")
_UNITS = ("SmartChargingCtrlr", "RateUnit")
_SWITCH = ("SmartChargingCtrlr", "Phases3to1")
_ENABLED = ("SmartChargingCtrlr", "Enabled")
_TOLD = {
    "DataTransfer",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "NotifyChargingLimit",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
    "ClearedChargingLimit",
    "ReportChargingProfiles",
}


class Version201:
    """The dialect of OCPP 2.0.1."""

    version = Version("2.0.1", "ocpp2.0.1", "FormatViolation")

    # -- what it says ------------------------------------------------------------------------------------------------

    def event(self, action: str, said: Mapping[str, Any]) -> Event:
        """What a call means. Raises: BadFrame for one that is none of a charge point's."""
        match action:
            case "BootNotification":
                one = said["chargingStation"]
                return Boot(
                    one["vendorName"], one["model"], one.get("serialNumber", ""), one.get("firmwareVersion", "")
                )
            case "Heartbeat":
                return Alive()
            case "StatusNotification":
                state = said["connectorStatus"]
                return Outlet(said["evseId"], STATES[state], state)
            case "MeterValues":
                return Measured(said["evseId"], _samples(said["meterValue"]))
            case "Authorize":
                return Asks(said["idToken"]["idToken"])
            case "TransactionEvent":
                return self._transaction(said)
        if action in _TOLD:
            return Told(action)
        raise BadFrame("NotSupported", f"{action} is not supported here")

    def _transaction(self, said: Mapping[str, Any]) -> Transaction:
        info = said["transactionInfo"]
        found = _samples(said.get("meterValue", ()))
        where = said.get("evse")
        token = said.get("idToken")
        return Transaction(
            _MOMENTS[said["eventType"]],
            moment(said["timestamp"]),
            where["id"] if where else None,
            info["transactionId"],
            token=token["idToken"] if token and token["type"] != "NoAuthorization" else None,
            meter_wh=last_energy_wh(found),
            status=CHARGING.get(info.get("chargingState", "")),
            samples=found,
            reason=info.get("stoppedReason", ""),
        )

    # -- our answers -------------------------------------------------------------------------------------------------

    def boot_answer(self, status: str, now_at: datetime, interval_s: int) -> dict[str, Any]:
        return {"status": status, "currentTime": iso(now_at), "interval": interval_s}

    def alive_answer(self, now_at: datetime) -> dict[str, Any]:
        return {"currentTime": iso(now_at)}

    def asks_answer(self, may: bool) -> dict[str, Any]:
        return {"idTokenInfo": {"status": "Accepted" if may else "Invalid"}}

    def told_answer(self, action: str) -> dict[str, Any]:
        return {"status": "UnknownVendorId"} if action == "DataTransfer" else {}

    def transaction_answer(self, event: Transaction, number: str, may: bool) -> dict[str, Any]:
        return self.asks_answer(may) if event.token is not None else {}

    # -- what we ask -------------------------------------------------------------------------------------------------

    def ask_abilities(self) -> tuple[Request, ...]:
        wanted = (_INTERVAL, _DATA, _LEVEL, _UNITS, _SWITCH, _ENABLED)
        # Many take only a few of them in one message (ItemsPerMessageGetVariables).
        return tuple(
            Request("GetVariables", {"getVariableData": [_named(one) for one in wanted[at : at + 3]]}) for at in (0, 3)
        )

    def abilities(self, answers: Sequence[Mapping[str, Any]]) -> Abilities:
        said = {
            f"{one['component']['name']}.{one['variable']['name']}": str(one.get("attributeValue", ""))
            for answer in answers
            for one in answer.get("getVariableResult", ())
            if one["attributeStatus"] == "Accepted"
        }

        def of(name: tuple[str, str]) -> str | None:
            return said.get(".".join(name))

        enabled = of(_ENABLED)
        return Abilities(
            sample_s=number_of(of(_INTERVAL)),
            measurands=parts_of(of(_DATA)),
            highest_level=number_of(of(_LEVEL)),
            in_amperes=of(_UNITS) is None or bool({"A", "Current"} & set(parts_of(of(_UNITS)))),
            switches_phases=(of(_SWITCH) or "").lower() == "true",
            profiles=None if enabled is None else enabled.lower() == "true",
            said=said,
        )

    def set_abilities(self, known: Abilities, sample_s: int) -> tuple[Request, ...]:
        """As for 1.6."""
        wanted: list[Request] = []
        if known.sample_s != sample_s:
            wanted.append(_set(_INTERVAL, str(sample_s)))
        if not set(MEASURANDS) <= set(known.measurands):
            wanted.append(_set(_DATA, ",".join(MEASURANDS)))
            if known.measurands != MEASURANDS[:3]:
                wanted.append(_set(_DATA, ",".join(MEASURANDS[:3])))
        return tuple(wanted)

    def key_of(self, request: Request) -> str:
        """What such a request sets."""
        data: Any = request.payload["setVariableData"]
        return str(data[0]["variable"]["name"])

    def was_set(self, answer: Mapping[str, Any]) -> bool:
        return all(one["attributeStatus"] in ("Accepted", "RebootRequired") for one in answer["setVariableResult"])

    def set_profile(self, connector: int, profile: Profile) -> Request:
        period: dict[str, Any] = {"startPeriod": 0, "limit": profile.current_a}
        if profile.phases is not None:
            period["numberPhases"] = profile.phases
        schedule: dict[str, Any] = {"id": profile.id, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
        if profile.lasts_s is not None:
            schedule["duration"] = profile.lasts_s
        if profile.start_at is not None:
            schedule["startSchedule"] = iso(profile.start_at)
        whole: dict[str, Any] = {
            "id": profile.id,
            "stackLevel": profile.level,
            "chargingProfilePurpose": profile.purpose.value,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [schedule],
        }
        if profile.transaction is not None:
            whole["transactionId"] = profile.transaction
        return Request("SetChargingProfile", {"evseId": connector, "chargingProfile": whole})

    def clear_profiles(self, connector: int) -> Request:
        return Request("ClearChargingProfile", {"chargingProfileCriteria": {"evseId": connector}})

    def ask_course(self, connector: int, for_s: int) -> Request:
        return Request("GetCompositeSchedule", {"evseId": connector, "duration": for_s, "chargingRateUnit": "A"})

    def course(self, answer: Mapping[str, Any]) -> Course | None:
        return course_of(answer.get("status"), answer.get("schedule"))

    def trigger(self, what: str, connector: int | None = None) -> Request:
        where = {} if connector is None else {"evse": {"id": connector, "connectorId": 1}}
        if what == "MeterValues" and connector is not None:
            where = {"evse": {"id": connector}}
        return Request("TriggerMessage", {"requestedMessage": what, **where})

    def start(self, connector: int, token: str, number: int) -> Request:
        known = {"idToken": token, "type": "Central"}
        return Request("RequestStartTransaction", {"evseId": connector, "idToken": known, "remoteStartId": number})

    def stop(self, transaction: str) -> Request:
        return Request("RequestStopTransaction", {"transactionId": transaction})


def _samples(meter_values: Any) -> Any:
    def factor(one: Mapping[str, Any]) -> float:
        unit = one.get("unitOfMeasure") or {}
        power = unit.get("multiplier", 0)
        return scale(str(unit.get("unit", "Wh"))) * (10.0**power if -9 <= power <= 9 else float("nan"))

    return samples(meter_values, factor)


def _named(name: tuple[str, str]) -> dict[str, Any]:
    return {"component": {"name": name[0]}, "variable": {"name": name[1]}}


def _set(name: tuple[str, str], value: str) -> Request:
    return Request("SetVariables", {"setVariableData": [{**_named(name), "attributeValue": value}]})
