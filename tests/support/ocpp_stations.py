"""Charge points by OCPP in a process of their own: the ``ocpp`` package's side of them, over ``websockets``.

``python -m tests.support.ocpp_stations PLAN.json``; the plan is a list of {identity, version, url, …} (``Station``). A
door for the test answers HTTP: GET /state; POST /do {identity, what, connector} with plug, unplug, drop, come-back.
What these do with profiles is OCPP's reading, not ours: nothing of ``charging_manager`` is imported.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201

HARDWARE_A = 32.0
TICK_S = 0.25


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@dataclass
class Profile:
    id: int
    purpose: str
    level: int
    periods: list[dict[str, Any]]
    start: datetime | None
    duration: int | None
    transaction: str | None

    def limit(self, at: datetime) -> float | None:
        since = (at - self.start).total_seconds() if self.start else 0.0
        if since < 0 or (self.duration is not None and since >= self.duration):
            return None
        return next(float(p["limit"]) for p in reversed(self.periods) if p["start_period"] <= since)


@dataclass
class Connector:
    number: int
    plugged: bool = False
    transaction: str | None = None
    wants_a: float = 20.0
    energy_wh: float = 1000.0
    current_a: float = 0.0
    said: str = ""
    sequence: int = 0
    remote: bool = False
    profiles: dict[tuple[str, int], Profile] = field(default_factory=dict)

    def limit(self, at: datetime, running: bool) -> float:
        for purpose in ("TxProfile", "TxDefaultProfile") if running else ("TxDefaultProfile",):
            chosen = sorted((p for p in self.profiles.values() if p.purpose == purpose), key=lambda p: -p.level)
            for one in chosen:
                limit = one.limit(at)
                if limit is not None:
                    return min(limit, HARDWARE_A)
        return HARDWARE_A

    def course(self, for_s: int, running: bool) -> list[tuple[int, float]]:
        now, found = datetime.now(UTC), []
        for second in range(0, for_s, 1):
            limit = self.limit(now + timedelta(seconds=second), running)
            if not found or found[-1][1] != limit:
                found.append((second, limit))
        return found


@dataclass
class Station:
    identity: str
    version: str
    url: str
    password: str | None = None
    connectors: int = 1
    phases: int = 3
    free: bool = True
    wants_a: float = 20.0
    token: str = "CARD-1"
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    faster: float = 1.0
    """Energy flows so many times as fast."""
    retry_s: float = 0.5
    subprotocols: list[str] = field(default_factory=list)
    outlets: dict[int, Connector] = field(default_factory=dict)
    queue: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    away: bool = False
    connected: bool = False
    booted: str = ""
    connections: int = 0
    lowest_setpoint: float = HARDWARE_A
    errors: list[str] = field(default_factory=list)
    point: Any = None
    socket: Any = None
    sample_s: int = 60
    numbers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outlets = {n: Connector(n, wants_a=self.wants_a) for n in range(1, self.connectors + 1)}

    # -- the car and the cable ---------------------------------------------------------------------------------------

    def state(self, one: Connector) -> str:
        if not one.plugged:
            return "Available"
        if one.transaction is None:
            return "Preparing" if not one.sequence else "Finishing"
        return "Charging" if one.current_a > 0 else "SuspendedEVSE"

    async def live(self) -> None:
        last, measured = time.monotonic(), 0.0
        while True:
            await asyncio.sleep(TICK_S)
            now, at = time.monotonic(), datetime.now(UTC)
            for one in self.outlets.values():
                if one.plugged and one.transaction is None and not one.sequence and (self.free or one.remote):
                    self.begin(one, at)
                limit = one.limit(at, one.transaction is not None)
                running = one.plugged and one.transaction is not None
                one.current_a = min(limit, one.wants_a) if running and limit >= 6 else 0.0
                one.energy_wh += one.current_a * 230 * self.phases * (now - last) / 3600 * self.faster
            last = now
            if self.connected and self.booted == "Accepted":
                with contextlib.suppress(Exception):
                    await self.send_queue()
                    await self.say_states()
                    if now - measured >= self.sample_s:
                        measured = now
                        for one in self.outlets.values():
                            if one.transaction is not None:
                                await self.measure(one)

    def begin(self, one: Connector, at: datetime) -> None:
        one.transaction = f"local-{uuid.uuid4().hex[:12]}" if self.version == "1.6" else uuid.uuid4().hex
        one.sequence += 1
        local, energy = one.transaction, int(one.energy_wh)

        async def send() -> None:
            if self.version == "1.6":
                answer = await self.call(call16.StartTransaction(one.number, self.token, energy, iso(at)))
                number = str(answer.transaction_id)
                self.numbers[local] = number
                if one.transaction == local:
                    one.transaction = number
            else:
                await self.event(one, "Started", local, at, "CablePluggedIn", energy, token=True)

        self.queue.append(("start", send))

    def end(self, one: Connector, at: datetime) -> None:
        local, one.transaction = one.transaction, None
        energy = int(one.energy_wh)
        one.profiles = {key: p for key, p in one.profiles.items() if p.purpose != "TxProfile"}
        if local is None:
            return

        async def send() -> None:
            if self.version == "1.6":
                number = int(self.numbers.get(local, local))
                await self.call(call16.StopTransaction(energy, iso(at), number, "EVDisconnected"))
            else:
                await self.event(one, "Ended", local, at, "EVDeparted", energy)

        self.queue.append(("stop", send))

    async def event(
        self, one: Connector, kind: str, number: str, at: datetime, why: str, energy: float, token: bool = False
    ) -> None:
        running = kind != "Ended"
        state = "Charging" if one.current_a > 0 and running else "SuspendedEVSE" if running else "Idle"
        one.sequence += 1
        await self.call(
            call201.TransactionEvent(
                event_type=kind,  # type: ignore[arg-type]
                timestamp=iso(at),
                trigger_reason=why,  # type: ignore[arg-type]
                seq_no=one.sequence,
                transaction_info={"transaction_id": number, "charging_state": state},  # type: ignore[arg-type]
                meter_value=[{"timestamp": iso(at), "sampled_value": self.sampled(one, energy)}],  # type: ignore[list-item]
                evse={"id": one.number, "connector_id": 1},  # type: ignore[arg-type]
                id_token={"id_token": self.token, "type": "ISO14443"} if token else None,  # type: ignore[arg-type]
            )
        )

    def sampled(self, one: Connector, energy: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        def add(measurand: str, value: float, unit: str, phase: str | None = None) -> None:
            said: dict[str, Any] = {"measurand": measurand}
            if self.version == "1.6":
                said |= {"value": f"{value:.4f}", "unit": unit}
            else:
                said |= {"value": round(value, 4), "unit_of_measure": {"unit": unit}}
            found.append(said | ({"phase": phase} if phase else {}))

        add("Energy.Active.Import.Register", energy / 1000, "kWh")
        add("Power.Active.Import", one.current_a * 230 * self.phases, "W")
        for phase in range(self.phases):
            add("Current.Import", one.current_a, "A", f"L{phase + 1}")
        return found

    async def measure(self, one: Connector) -> None:
        at = datetime.now(UTC)
        if self.version == "1.6":
            values = [{"timestamp": iso(at), "sampled_value": self.sampled(one, one.energy_wh)}]
            number = one.transaction
            known = int(number) if number and number.isdigit() else None
            await self.call(call16.MeterValues(one.number, values, known))
        elif one.transaction is not None:
            await self.event(one, "Updated", one.transaction, at, "MeterValuePeriodic", one.energy_wh)

    async def send_queue(self) -> None:
        while self.queue:
            _, send = self.queue[0]
            await send()
            self.queue.pop(0)

    async def say_states(self, again: bool = False) -> None:
        for one in self.outlets.values():
            state = self.state(one)
            if state == one.said and not again:
                continue
            at = datetime.now(UTC)
            if self.version == "1.6":
                await self.call(call16.StatusNotification(one.number, "NoError", state))
            else:
                plugged = "Occupied" if one.plugged else "Available"
                await self.call(call201.StatusNotification(iso(at), plugged, one.number, 1))
                if one.transaction is not None and not self.queue:
                    await self.event(one, "Updated", one.transaction, at, "ChargingStateChanged", one.energy_wh)
            one.said = state

    async def call(self, message: Any) -> Any:
        return await self.point.call(message, suppress=False, skip_schema_validation=False)

    # -- the connection ----------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        while True:
            if not self.away:
                with contextlib.suppress(asyncio.CancelledError):
                    try:
                        await self.session()
                    except Exception as error:
                        self.errors = [*self.errors[-20:], f"{type(error).__name__}: {error}"]
            self.connected, self.booted = False, ""
            await asyncio.sleep(self.retry_s)

    async def session(self) -> None:
        headers = {}
        if self.password is not None:
            code = base64.b64encode(f"{self.identity}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {code}"
        context = None
        if self.url.startswith("wss"):
            context = ssl.create_default_context(cafile=self.ca)
            context.check_hostname = False
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        async with websockets.connect(
            f"{self.url}/{self.identity}",
            subprotocols=self.subprotocols or [f"ocpp{self.version}"],  # type: ignore[arg-type]
            additional_headers=headers,
            ssl=context,
            open_timeout=30,
        ) as socket:
            self.socket = socket
            self.point = (Point16 if self.version == "1.6" else Point201)(self, socket)
            self.connections += 1
            reading = asyncio.create_task(self.point.start())
            try:
                await self.boot()
                self.connected = True
                await reading
            finally:
                self.connected = False
                reading.cancel()

    async def boot(self) -> None:
        while True:
            if self.version == "1.6":
                answer = await self.call(call16.BootNotification("Sixteen", "Maker", firmware_version="1.2.3"))
            else:
                station = {"model": "Twenty", "vendor_name": "Maker", "firmware_version": "4.5"}
                answer = await self.call(call201.BootNotification(station, "PowerUp"))
            self.booted = str(getattr(answer.status, "value", answer.status))
            if self.booted == "Accepted":
                await self.say_states(again=True)
                return
            await asyncio.sleep(1.0)

    def set_profile(self, number: int, said: dict[str, Any]) -> str:
        one = self.outlets.get(number)
        if one is None:
            return "Rejected"
        schedule = said["charging_schedule"]
        schedule = schedule[0] if isinstance(schedule, list) else schedule
        purpose = said["charging_profile_purpose"]
        transaction = said.get("transaction_id")
        if purpose == "TxProfile" and (one.transaction is None or str(transaction) != one.transaction):
            return "Rejected"
        if schedule["charging_rate_unit"] != "A" or said["stack_level"] > 3:
            return "Rejected"
        start = schedule.get("start_schedule")
        profile = Profile(
            said.get("charging_profile_id", said.get("id")),
            purpose,
            said["stack_level"],
            schedule["charging_schedule_period"],
            instant(start) if start else None,
            schedule.get("duration"),
            str(transaction) if transaction is not None else None,
        )
        one.profiles[purpose, profile.level] = profile
        return "Accepted"

    def periods(self, number: int, for_s: int) -> list[dict[str, Any]]:
        one = self.outlets[number]
        course = one.course(for_s, one.transaction is not None)
        return [{"startPeriod": at, "limit": limit} for at, limit in course]

    def trigger(self, what: str, number: int | None) -> str:
        async def do() -> None:
            with contextlib.suppress(Exception):
                if what == "StatusNotification":
                    await self.say_states(again=True)
                elif what in ("MeterValues", "TransactionEvent"):
                    for one in self.outlets.values():
                        if number in (None, one.number):
                            await self.measure(one)

        if what not in ("StatusNotification", "MeterValues"):
            return "NotImplemented"
        asyncio.get_running_loop().create_task(do())
        return "Accepted"


class Point16(ChargePoint16):
    def __init__(self, station: Station, socket: Any) -> None:
        super().__init__(station.identity, socket, response_timeout=30)
        self.station = station

    @on("GetConfiguration")
    def get(self, key: list[str] | None = None) -> Any:
        station = self.station
        known = {
            "MeterValueSampleInterval": str(station.sample_s),
            "MeterValuesSampledData": station.settings.get("MeterValuesSampledData", "Energy.Active.Import.Register"),
            "ChargeProfileMaxStackLevel": "3",
            "ChargingScheduleAllowedChargingRateUnit": "Current",
            "NumberOfConnectors": str(len(station.outlets)),
            "SupportedFeatureProfiles": "Core,SmartCharging,RemoteTrigger",
        }
        wanted = key or list(known)
        found = [{"key": name, "readonly": False, "value": known[name]} for name in wanted if name in known]
        return result16.GetConfiguration(found, [name for name in wanted if name not in known])

    @on("ChangeConfiguration")
    def change(self, key: str, value: str) -> Any:
        if key == "MeterValueSampleInterval":
            self.station.sample_s = int(value)
        elif key != "MeterValuesSampledData" or "Voltage" in value:  # one that does not measure everything
            return result16.ChangeConfiguration("Rejected")
        self.station.settings[key] = value
        return result16.ChangeConfiguration("Accepted")

    @on("SetChargingProfile")
    def profile(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> Any:
        return result16.SetChargingProfile(self.station.set_profile(connector_id, cs_charging_profiles))

    @on("ClearChargingProfile")
    def clear(self, **said: Any) -> Any:
        self.station.outlets[said["connector_id"]].profiles.clear()
        return result16.ClearChargingProfile("Accepted")

    @on("GetCompositeSchedule")
    def course(self, connector_id: int, duration: int, charging_rate_unit: str | None = None) -> Any:
        schedule = {
            "duration": duration,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": self.station.periods(connector_id, duration),
        }
        return result16.GetCompositeSchedule("Accepted", connector_id, iso(datetime.now(UTC)), schedule)

    @on("TriggerMessage")
    def trigger(self, requested_message: str, connector_id: int | None = None) -> Any:
        return result16.TriggerMessage(self.station.trigger(requested_message, connector_id))

    @on("RemoteStartTransaction")
    def remote_start(self, id_tag: str, connector_id: int = 1, **_: Any) -> Any:
        self.station.token = id_tag
        self.station.outlets[connector_id].remote = True
        return result16.RemoteStartTransaction("Accepted")

    @on("RemoteStopTransaction")
    def remote_stop(self, transaction_id: int) -> Any:
        for one in self.station.outlets.values():
            if one.transaction == str(transaction_id):
                self.station.end(one, datetime.now(UTC))
                return result16.RemoteStopTransaction("Accepted")
        return result16.RemoteStopTransaction("Rejected")


class Point201(ChargePoint201):
    def __init__(self, station: Station, socket: Any) -> None:
        super().__init__(station.identity, socket, response_timeout=30)
        self.station = station

    @on("GetVariables")
    def get(self, get_variable_data: list[dict[str, Any]]) -> Any:
        known = {
            "TxUpdatedInterval": str(self.station.sample_s),
            "TxUpdatedMeasurands": self.station.settings.get("TxUpdatedMeasurands", "Energy.Active.Import.Register"),
            "ProfileStackLevel": "3",
            "RateUnit": "A",
            "Enabled": "true",
        }
        found = []
        for one in get_variable_data:
            value = known.get(one["variable"]["name"])
            said = {"attribute_status": "Accepted" if value else "UnknownVariable", **one}
            found.append(said | ({"attribute_value": value} if value else {}))
        return result201.GetVariables(found)

    @on("SetVariables")
    def set(self, set_variable_data: list[dict[str, Any]]) -> Any:
        found = []
        for one in set_variable_data:
            name, value = one["variable"]["name"], one["attribute_value"]
            if name == "TxUpdatedInterval":
                self.station.sample_s = int(value)
            self.station.settings[name] = value
            found.append({"attribute_status": "Accepted", "component": one["component"], "variable": one["variable"]})
        return result201.SetVariables(found)

    @on("SetChargingProfile")
    def profile(self, evse_id: int, charging_profile: dict[str, Any]) -> Any:
        return result201.SetChargingProfile(self.station.set_profile(evse_id, charging_profile))

    @on("ClearChargingProfile")
    def clear(self, **said: Any) -> Any:
        self.station.outlets[said["charging_profile_criteria"]["evse_id"]].profiles.clear()
        return result201.ClearChargingProfile("Accepted")

    @on("GetCompositeSchedule")
    def course(self, duration: int, evse_id: int, charging_rate_unit: str | None = None) -> Any:
        schedule = {
            "evseId": evse_id,
            "duration": duration,
            "scheduleStart": iso(datetime.now(UTC)),
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": self.station.periods(evse_id, duration),
        }
        return result201.GetCompositeSchedule("Accepted", schedule=schedule)

    @on("TriggerMessage")
    def trigger(self, requested_message: str, evse: dict[str, Any] | None = None) -> Any:
        return result201.TriggerMessage(self.station.trigger(requested_message, evse["id"] if evse else None))

    @on("RequestStartTransaction")
    def remote_start(self, id_token: dict[str, Any], remote_start_id: int, evse_id: int = 1, **_: Any) -> Any:
        self.station.token = id_token["id_token"]
        self.station.outlets[evse_id].remote = True
        return result201.RequestStartTransaction("Accepted")

    @on("RequestStopTransaction")
    def remote_stop(self, transaction_id: str) -> Any:
        for one in self.station.outlets.values():
            if one.transaction == transaction_id:
                self.station.end(one, datetime.now(UTC))
                return result201.RequestStopTransaction("Accepted")
        return result201.RequestStopTransaction("Rejected")


class Yard:
    """All of them, and the door for the test."""

    def __init__(self, plan: list[dict[str, Any]]) -> None:
        self.stations = {one["identity"]: Station(**one) for one in plan}

    def state(self) -> dict[str, Any]:
        return {
            one.identity: {
                "connected": one.connected,
                "booted": one.booted,
                "connections": one.connections,
                "waiting": len(one.queue),
                "sample_s": one.sample_s,
                "errors": one.errors,
                "connectors": {
                    str(n): {
                        "state": one.state(outlet),
                        "current_a": outlet.current_a,
                        "limit_a": outlet.limit(datetime.now(UTC), outlet.transaction is not None),
                        "energy_wh": outlet.energy_wh,
                        "transaction": outlet.transaction,
                        "profiles": [
                            {"purpose": p.purpose, "level": p.level, "limit": float(p.periods[0]["limit"])}
                            for p in outlet.profiles.values()
                        ],
                    }
                    for n, outlet in one.outlets.items()
                },
            }
            for one in self.stations.values()
        }

    async def do(self, what: str, identity: str, connector: int = 1) -> None:
        station = self.stations[identity]
        one = station.outlets[connector]
        match what:
            case "plug":
                one.plugged, one.sequence, one.remote = True, 0, False
            case "unplug":
                station.end(one, datetime.now(UTC))
                one.plugged = False
            case "drop":
                station.away = True
                if station.socket is not None:
                    station.socket.transport.abort()
            case "come-back":
                station.away = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(Exception):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(r.split(":")[1]) for r in head.split("\r\n") if r.lower().startswith("content-length")), 0
            )
            body = json.loads(await reader.readexactly(length)) if length else None
            if head.startswith("POST"):
                await self.do(**body)
            answer = json.dumps(self.state()).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
            writer.write(f"Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
            await writer.drain()
        writer.close()

    async def run(self) -> None:
        door = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        for number, station in enumerate(self.stations.values()):
            asyncio.get_running_loop().call_later(number * 0.02, lambda s=station: self.begin(s))
        print(f"stations ready: {door.sockets[0].getsockname()[1]}", flush=True)
        await door.serve_forever()

    def begin(self, station: Station) -> None:
        loop = asyncio.get_running_loop()
        self.tasks = [
            *getattr(self, "tasks", []),
            loop.create_task(station.connect()),
            loop.create_task(station.live()),
        ]


if __name__ == "__main__":
    asyncio.run(Yard(json.loads(Path(sys.argv[1]).read_text())).run())
