"""OCPP 1.6J (edition 2, with the security whitepaper): its messages to our values, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from charging_manager.model.reading import Status
from charging_manager.ocpp.messages import BadFrame, Version
from charging_manager.ocpp.sampling import MEASURANDS, moment, samples, scale
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
    "Preparing": Status.PLUGGED,
    "Charging": Status.CHARGING,
    "SuspendedEV": Status.PLUGGED,
    "SuspendedEVSE": Status.PLUGGED,
    "Finishing": Status.PLUGGED,
    "Reserved": Status.FREE,
    "Unavailable": Status.FAULT,
    "Faulted": Status.FAULT,
}
_INTERVAL, _DATA, _LEVEL = "MeterValueSampleInterval", "MeterValuesSampledData", "ChargeProfileMaxStackLevel"
_UNITS, _SWITCH = "ChargingScheduleAllowedChargingRateUnit", "ConnectorSwitch3to1PhaseSupported"
_CONNECTORS, _FEATURES = "NumberOfConnectors", "SupportedFeatureProfiles"
_NO_TRANSACTION = -1


class Version16:
    """The dialect of OCPP 1.6."""

    version = Version("1.6", "ocpp1.6", "FormationViolation")

    # -- what it says ------------------------------------------------------------------------------------------------

    def event(self, action: str, said: Mapping[str, Any]) -> Event:
        """What a call means. Raises: BadFrame for one that is none of a charge point's."""
        match action:
            case "BootNotification":
                serial = said.get("chargePointSerialNumber") or said.get("chargeBoxSerialNumber", "")
                return Boot(
                    said["chargePointVendor"], said["chargePointModel"], serial, said.get("firmwareVersion", "")
                )
            case "Heartbeat":
                return Alive()
            case "StatusNotification":
                error = said["errorCode"]
                more = " ".join(str(said[key]) for key in ("info", "vendorErrorCode") if said.get(key))
                return Outlet(
                    said["connectorId"],
                    STATES[said["status"]],
                    said["status"],
                    "" if error == "NoError" else f"{error} {more}".strip(),
                )
            case "MeterValues":
                number = said.get("transactionId")
                return Measured(
                    said["connectorId"], _samples(said["meterValue"]), None if number is None else str(number)
                )
            case "Authorize":
                return Asks(said["idTag"])
            case "StartTransaction":
                return Transaction(
                    Moment.BEGAN,
                    moment(said["timestamp"]),
                    said["connectorId"],
                    token=said["idTag"],
                    meter_wh=float(said["meterStart"]),
                )
            case "StopTransaction":
                return Transaction(
                    Moment.ENDED,
                    moment(said["timestamp"]),
                    number=str(said["transactionId"]),
                    token=said.get("idTag"),
                    meter_wh=float(said["meterStop"]),
                    samples=_samples(said.get("transactionData", ())),
                    reason=said.get("reason", "Local"),
                )
            case "DataTransfer" | "DiagnosticsStatusNotification" | "FirmwareStatusNotification":
                return Told(action)
            case "SecurityEventNotification" | "LogStatusNotification" | "SignedFirmwareStatusNotification":
                return Told(action)
        raise BadFrame("NotSupported", f"{action} is not supported here")

    # -- our answers -------------------------------------------------------------------------------------------------

    def boot_answer(self, status: str, now_at: datetime, interval_s: int) -> dict[str, Any]:
        return {"status": status, "currentTime": iso(now_at), "interval": interval_s}

    def alive_answer(self, now_at: datetime) -> dict[str, Any]:
        return {"currentTime": iso(now_at)}

    def asks_answer(self, may: bool) -> dict[str, Any]:
        return {"idTagInfo": {"status": "Accepted" if may else "Invalid"}}

    def told_answer(self, action: str) -> dict[str, Any]:
        return {"status": "UnknownVendorId"} if action == "DataTransfer" else {}

    def transaction_answer(self, event: Transaction, number: str, may: bool) -> dict[str, Any]:
        if event.moment is Moment.BEGAN:
            return {"transactionId": int(number), **self.asks_answer(may)}
        return self.asks_answer(may) if event.token is not None else {}

    # -- what we ask -------------------------------------------------------------------------------------------------

    def ask_abilities(self) -> tuple[Request, ...]:
        keys = (_INTERVAL, _DATA, _LEVEL, _UNITS, _SWITCH, _CONNECTORS, _FEATURES)
        return (Request("GetConfiguration", {"key": list(keys)}),)

    def abilities(self, answers: Sequence[Mapping[str, Any]]) -> Abilities:
        said = {
            one["key"]: str(one.get("value", "")) for answer in answers for one in answer.get("configurationKey", ())
        }
        features = said.get(_FEATURES)
        return Abilities(
            connectors=number_of(said.get(_CONNECTORS)),
            sample_s=number_of(said.get(_INTERVAL)),
            measurands=parts_of(said.get(_DATA)),
            highest_level=number_of(said.get(_LEVEL)),
            in_amperes=_UNITS not in said or bool({"Current", "A"} & set(parts_of(said[_UNITS]))),
            switches_phases=said.get(_SWITCH, "").strip().lower() == "true",
            profiles=None if features is None else "SmartCharging" in parts_of(features),
            said=said,
        )

    def set_abilities(self, known: Abilities, sample_s: int) -> tuple[Request, ...]:
        """What brings its meter values to what we want; a second one of a key is for those that refuse the first."""
        wanted: list[Request] = []
        if known.sample_s != sample_s:
            wanted.append(_configure(_INTERVAL, str(sample_s)))
        if not set(MEASURANDS) <= set(known.measurands):
            wanted.append(_configure(_DATA, ",".join(MEASURANDS)))
            if known.measurands != MEASURANDS[:3]:
                wanted.append(_configure(_DATA, ",".join(MEASURANDS[:3])))
        return tuple(wanted)

    def key_of(self, request: Request) -> str:
        """What such a request sets."""
        return str(request.payload["key"])

    def was_set(self, answer: Mapping[str, Any]) -> bool:
        return answer["status"] in ("Accepted", "RebootRequired")

    def set_profile(self, connector: int, profile: Profile) -> Request:
        period: dict[str, Any] = {"startPeriod": 0, "limit": profile.current_a}
        if profile.phases is not None:
            period["numberPhases"] = profile.phases
        schedule: dict[str, Any] = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
        if profile.lasts_s is not None:
            schedule["duration"] = profile.lasts_s
        if profile.start_at is not None:
            schedule["startSchedule"] = iso(profile.start_at)
        whole: dict[str, Any] = {
            "chargingProfileId": profile.id,
            "stackLevel": profile.level,
            "chargingProfilePurpose": profile.purpose.value,
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        }
        if profile.transaction is not None:
            whole["transactionId"] = int(profile.transaction)
        return Request("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": whole})

    def clear_profiles(self, connector: int) -> Request:
        return Request("ClearChargingProfile", {"connectorId": connector})

    def ask_course(self, connector: int, for_s: int) -> Request:
        return Request("GetCompositeSchedule", {"connectorId": connector, "duration": for_s, "chargingRateUnit": "A"})

    def course(self, answer: Mapping[str, Any]) -> Course | None:
        return course_of(answer.get("status"), answer.get("chargingSchedule"))

    def trigger(self, what: str, connector: int | None = None) -> Request:
        where = {} if connector is None else {"connectorId": connector}
        return Request("TriggerMessage", {"requestedMessage": what, **where})

    def start(self, connector: int, token: str, number: int) -> Request:
        return Request("RemoteStartTransaction", {"connectorId": connector, "idTag": token})

    def stop(self, transaction: str) -> Request:
        return Request("RemoteStopTransaction", {"transactionId": int(transaction)})


def iso(at: datetime) -> str:
    """As both versions write an instant."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def number_of(text: str | None) -> int | None:
    """A whole number of 0 or more, if it is one."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def parts_of(text: str | None) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def course_of(status: object, schedule: Any) -> Course | None:
    """What it will obey, as both versions tell it; None: it does not say."""
    if status != "Accepted" or not schedule:
        return None
    periods = tuple((float(one["startPeriod"]), float(one["limit"])) for one in schedule["chargingSchedulePeriod"])
    return Course(tuple(sorted(periods)), schedule.get("chargingRateUnit", "A") == "A")


def _samples(meter_values: Any) -> Any:
    return samples(meter_values, lambda one: scale(str(one.get("unit", "Wh"))))


def _configure(key: str, value: str) -> Request:
    return Request("ChangeConfiguration", {"key": key, "value": value})
