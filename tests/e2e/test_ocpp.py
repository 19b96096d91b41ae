"""Charge points by OCPP, in a process of their own, at a real agent: both versions, steered, lost, back, and many."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets import ConnectionClosed, InvalidStatus, Subprotocol
from websockets.sync.client import ClientConnection, connect

from tests.support.api import Browser
from tests.support.processes import daemon, eventually, free_port, running
from tests.support.sites import admin_of, set_password

pytestmark = pytest.mark.e2e

SECRET = "0123456789abcdef0123"


class Stations:
    """The process with the charge points."""

    def __init__(self, door: Browser) -> None:
        self.door = door

    def __call__(self, identity: str, connector: int = 1) -> dict[str, Any]:
        found = self.door.get("/state")[identity]
        return {**found, **found["connectors"][str(connector)]}

    def do(self, what: str, identity: str, connector: int = 1) -> None:
        self.door.post("/do", {"what": what, "identity": identity, "connector": connector})


@contextlib.contextmanager
def stations(folder: Path, plan: list[dict[str, Any]]) -> Iterator[Stations]:
    path = folder / "stations.json"
    path.write_text(json.dumps(plan))
    with running(sys.executable, "-m", "tests.support.ocpp_stations", path) as process:
        line = process.wait_line("stations ready", 60)
        yield Stations(Browser(int(line.rsplit(" ", 1)[1])))


def limit(admin: Browser, amps: float, fallback_a: float = 6) -> None:
    circuit = {"id": "main", "name": "Main", "parent": None, "limit_a": [amps] * 3, "fallback_a": fallback_a}
    admin.put("/api/v1/site", {"circuits": [circuit]})


def switch_on(admin: Browser, profile: int = 1, **more: Any) -> int:
    at: int = more.pop("port", None) or free_port()
    admin.put("/api/v1/ocpp", {"enabled": True, "port": at, "bind": "127.0.0.1", "profile": profile, **more})
    eventually(lambda: admin.get("/api/v1/ocpp")["listening"] == at)
    return at


def add(admin: Browser, *addresses: str) -> None:
    for address in addresses:
        identity, _, connector = address.removeprefix("ocpp:").partition("/")
        admin.put(f"/api/v1/ocpp/passwords/{identity}", {"password": SECRET})
        name = f"{identity}-{connector}".strip("-").lower()
        admin.post(
            "/api/v1/devices", {"id": name, "name": name, "driver": "ocpp", "address": address, "circuit": "main"}
        )


def point(admin: Browser, name: str) -> dict[str, Any]:
    return next(one for one in admin.get("/api/v1/state")["charge_points"] if one["id"] == name)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_charge_point_is_plugged_charged_throttled_paused_lost_and_back(tmp_path: Path, version: str) -> None:
    set_password(tmp_path / "data")
    with daemon("cm-agent", tmp_path / "data") as (agent, port):
        admin = admin_of(port)
        limit(admin, 16)
        at = switch_on(admin)
        plan = [
            {
                "identity": "CP1",
                "version": version,
                "url": f"ws://127.0.0.1:{at}/ocpp",
                "password": SECRET,
                "faster": 60,
            }
        ]
        with stations(tmp_path, plan) as box:
            eventually(lambda: box("CP1")["booted"] == "Pending")
            (waits,) = admin.get("/api/v1/ocpp")["waiting"]
            assert (waits["identity"], waits["vendor"], waits["has_password"]) == ("CP1", "Maker", True)
            admin.put("/api/v1/ocpp/passwords/CP1", {"presented": True})
            admin.post(
                "/api/v1/devices",
                {"id": "cp1", "name": "One", "driver": "ocpp", "address": "ocpp:CP1", "circuit": "main"},
            )
            eventually(lambda: point(admin, "cp1")["status"] == "free")
            tried = admin.post("/api/v1/devices/cp1/test", {})
            assert [step["name"] for step in tried["steps"]][:5] == [
                "connect",
                "values",
                "setpoint",
                "pause",
                "watchdog",
            ]
            assert all(step["ok"] for step in tried["steps"][:5]), tried
            box.do("plug", "CP1")
            eventually(lambda: 14 <= box("CP1")["current_a"] <= 16, 40)
            eventually(lambda: point(admin, "cp1")["status"] == "charging")
            assert box("CP1")["sample_s"] == 5
            condition = eventually(
                lambda: (c := admin.get("/api/v1/devices/cp1")["condition"])["fallback"] == "programmed" and c, 90
            )
            assert condition["variant"] == f"OCPP {version}"
            limit(admin, 10)
            eventually(lambda: 6 <= box("CP1")["current_a"] <= 10)
            limit(admin, 5, 0)
            eventually(lambda: box("CP1")["current_a"] == 0)
            limit(admin, 16)
            box.do("drop", "CP1")
            eventually(lambda: point(admin, "cp1")["status"] == "offline")
            box.do("unplug", "CP1")
            box.do("come-back", "CP1")
            eventually(lambda: point(admin, "cp1")["status"] == "free")
            eventually(lambda: box("CP1")["waiting"] == 0)
            (session,) = admin.get("/api/v1/sessions")["sessions"]
            assert session["ended_at"] is not None
            assert abs(session["energy_wh"] - (box("CP1")["energy_wh"] - 1000)) <= 2, (session, box("CP1"))
            assert "Traceback" not in agent.output, agent.output


def certificates(folder: Path) -> dict[str, str]:
    """An authority, and a certificate that it made for CP1."""
    now = datetime.now(UTC)

    def make(name: str, signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None) -> Any:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signing = signer[1] if signer else key
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer[0].subject if signer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
            .sign(signing, hashes.SHA256())
        )
        pem = made.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.pem").write_bytes(pem)
        (folder / f"{name}.key").write_bytes(secret)
        return made, key

    authority = make("authority")
    make("CP1", authority)
    make("stranger")
    return {"ca": (folder / "authority.pem").read_text()}


def server_certificate(at: int, folder: Path) -> str:
    """What the agent shows, to be trusted by a charge point, as an installer would do it."""
    path = folder / "server.pem"
    path.write_text(ssl.get_server_certificate(("127.0.0.1", at)))
    return str(path)


def test_tls_with_a_password_and_with_certificates(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    made = certificates(tmp_path)
    with daemon("cm-agent", tmp_path / "data", "--allow-http") as (agent, port):
        admin = admin_of(port)
        limit(admin, 16)
        add(admin, "ocpp:CP1")
        at = switch_on(admin, 2)
        known = server_certificate(at, tmp_path)
        url = f"wss://127.0.0.1:{at}/ocpp"
        plan = {"identity": "CP1", "version": "2.0.1", "url": url, "ca": known, "password": SECRET}
        with stations(tmp_path, [plan]) as box:
            eventually(lambda: box("CP1")["booted"] == "Accepted")
            eventually(lambda: point(admin, "cp1")["status"] == "free")
        switch_on(admin, 3, client_ca=made["ca"], port=at)
        bare = {"identity": "CP1", "version": "1.6", "url": url, "ca": known, "retry_s": 0.2}
        for wrong in ({}, {"cert": str(tmp_path / "stranger.pem"), "key": str(tmp_path / "stranger.key")}):
            with stations(tmp_path, [bare | wrong]) as box:
                eventually(lambda: len(box("CP1")["errors"]) >= 2)
                assert box("CP1")["booted"] == ""
        own = {"cert": str(tmp_path / "CP1.pem"), "key": str(tmp_path / "CP1.key")}
        other = bare | own | {"identity": "CP2"}
        with stations(tmp_path, [bare | own, other]) as box:
            eventually(lambda: box("CP1")["booted"] == "Accepted")
            eventually(lambda: any("401" in error for error in box("CP2")["errors"]))
            assert box("CP2")["booted"] == ""
        switch_on(admin, 3, client_ca=(tmp_path / "stranger.pem").read_text(), port=at)
        with stations(tmp_path, [bare | own]) as box:  # whoever signed it is not trusted any more
            eventually(lambda: any("401" in error for error in box("CP1")["errors"]))
        assert "Traceback" not in agent.output, agent.output


def test_a_transaction_is_whole_though_the_agent_is_killed_in_the_middle_of_it(tmp_path: Path) -> None:
    """One goes on over the kill, one ends meanwhile, and one begins and ends meanwhile."""
    data = tmp_path / "data"
    set_password(data)
    at = 0
    with contextlib.ExitStack() as stack:
        with daemon("cm-agent", data) as (agent, port):
            admin = admin_of(port)
            limit(admin, 63, 40)
            at = switch_on(admin)
            add(admin, "ocpp:CP1", "ocpp:CP1/2", "ocpp:CP2", "ocpp:CP3")
            plain = {"url": f"ws://127.0.0.1:{at}/ocpp", "password": SECRET, "faster": 100, "wants_a": 10}
            plan = [
                {"identity": "CP1", "version": "1.6", "connectors": 2},
                {"identity": "CP2", "version": "2.0.1"},
                {"identity": "CP3", "version": "1.6", "away": True},
            ]
            box = stack.enter_context(stations(tmp_path, [one | plain for one in plan]))
            for identity, connector in (("CP1", 1), ("CP1", 2), ("CP2", 1)):
                eventually(lambda i=identity: box(i)["booted"] == "Accepted")
                box.do("plug", identity, connector)
            for name in ("cp1", "cp1-2", "cp2"):
                eventually(lambda n=name: (point(admin, n)["session_wh"] or 0) > 20, 60)
            agent.stop(SIGKILL)
        box.do("unplug", "CP1", 2)
        box.do("unplug", "CP2")
        box.do("plug", "CP3")
        eventually(lambda: box("CP3")["energy_wh"] > 1050)
        box.do("unplug", "CP3")
        box.do("come-back", "CP3")
        with daemon("cm-agent", data, port=port) as (agent, port):
            admin = admin_of(port)
            for identity in ("CP1", "CP2", "CP3"):
                eventually(lambda i=identity: box(i)["booted"] == "Accepted" and not box(i)["waiting"], 60)
            eventually(lambda: point(admin, "cp1")["status"] == "charging")
            box.do("unplug", "CP1")

            def ended() -> list[dict[str, Any]]:
                found = admin.get("/api/v1/sessions")["sessions"]
                return found if len(found) == 4 and all(one["ended_at"] for one in found) else []

            found = {one["charge_point"]: one for one in eventually(ended, 60)}
            eventually(lambda: not box("CP1")["waiting"])
            found = {one["charge_point"]: one for one in admin.get("/api/v1/sessions")["sessions"]}
            for name, identity, connector in (
                ("cp1", "CP1", 1),
                ("cp1-2", "CP1", 2),
                ("cp2", "CP2", 1),
                ("cp3", "CP3", 1),
            ):
                came = box(identity, connector)["energy_wh"] - 1000
                assert abs(found[name]["energy_wh"] - came) <= 2, (name, came, found[name])
            assert "Traceback" not in agent.output, agent.output


def test_fifty_charge_points_of_both_versions_share_what_there_is(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    names = [f"P{number:02d}" for number in range(50)]
    with daemon("cm-agent", tmp_path / "data") as (agent, port):
        admin = admin_of(port)
        limit(admin, 330, 300)
        at = switch_on(admin)
        add(admin, *(f"ocpp:{name}" for name in names))
        plain = {"url": f"ws://127.0.0.1:{at}/ocpp", "password": SECRET}
        plan = [
            plain | {"identity": name, "version": ("1.6", "2.0.1")[number % 2], "wants_a": 32}
            for number, name in enumerate(names)
        ]
        with stations(tmp_path, plan) as box:

            def drawn() -> list[float]:
                state = box.door.get("/state")
                return [state[name]["connectors"]["1"]["current_a"] for name in names]

            def steered() -> bool:
                amps = drawn()
                return min(amps) >= 6 and sum(amps) <= 330.5

            eventually(lambda: all(one["booted"] == "Accepted" for one in box.door.get("/state").values()), 60)
            for name in names:
                box.do("plug", name)
            eventually(steered, 90)
            limit(admin, 310, 300)
            eventually(lambda: steered() and sum(drawn()) <= 310.5, 60)
            limit(admin, 150, 0)
            eventually(lambda: sum(drawn()) <= 150.5, 30)
            assert max(drawn()) >= 6
            for device in admin.get("/api/v1/devices")["devices"]:
                assert device["condition"]["connected"], device
            assert all(len(one["errors"]) == 0 for one in box.door.get("/state").values())
        assert "Traceback" not in agent.output, agent.output


def test_bad_frames_strangers_and_floods_are_named_and_hurt_nobody_else(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with daemon("cm-agent", tmp_path / "data") as (agent, port), contextlib.ExitStack() as stack:
        admin = admin_of(port)
        limit(admin, 60)
        add(admin, "ocpp:GOOD", "ocpp:BAD")
        at = switch_on(admin)
        url = f"ws://127.0.0.1:{at}/ocpp"
        plan = [{"identity": "GOOD", "version": "1.6", "url": url, "password": SECRET, "wants_a": 10}]
        box = stack.enter_context(stations(tmp_path, plan))
        eventually(lambda: box("GOOD")["booted"] == "Accepted")
        box.do("plug", "GOOD")
        mute = [stack.enter_context(socket.create_connection(("127.0.0.1", at))) for _ in range(20)]
        mute[0].sendall(b"GET /ocpp/GOOD HTTP/1.1\r\nHost: x\r\n")

        def call(identity: str, password: str = SECRET, protocol: str = "ocpp1.6") -> ClientConnection:
            code = base64.b64encode(f"{identity}:{password}".encode()).decode()
            made = connect(
                f"{url}/{identity}",
                subprotocols=[Subprotocol(protocol)],
                additional_headers={"Authorization": f"Basic {code}"},
                max_size=None,
            )
            return stack.enter_context(made)

        def ends(link: ClientConnection, *frames: str) -> int:
            """The code with which the connection is closed after these frames."""
            with contextlib.suppress(ConnectionClosed, OSError):
                for frame in frames:
                    link.send(frame)
                while True:
                    link.recv(timeout=20)
            return link.protocol.close_code or 0

        with pytest.raises(InvalidStatus, match="400"):
            call("BAD", protocol="ocpp2.1")
        assert ends(call("BAD"), "x" * 10_000_000) in (1009, 1006)
        assert ends(call("BAD"), *["{broken"] * 10) == 1008
        assert "no JSON" in admin.get("/api/v1/devices/bad")["condition"]["text"] or "no JSON" in agent.output
        flood = call("BAD")
        for number in range(400):
            flood.send(json.dumps([2, str(number), "Heartbeat", {}]))
        answered = [flood.recv(timeout=20) for _ in range(150)]
        assert len(answered) == 150
        eventually(lambda: "slowed down: it sends too much" in agent.output)
        older = call("BAD")
        newer = call("BAD")
        assert ends(older) == 1001
        newer.send(json.dumps([2, "a", "Heartbeat", {}]))
        assert "currentTime" in str(newer.recv(timeout=20))
        refused = []
        for _ in range(8):
            with pytest.raises(InvalidStatus) as caught:
                call("GOOD", "x" * 20)
            refused.append(caught.value.response.status_code)
        assert refused[0] == 401
        assert refused[-1] == 429
        assert "the password of GOOD is not right" in agent.output
        eventually(lambda: all(not one.recv(100) for one in mute), 30)
        assert box("GOOD")["connections"] == 1
        eventually(lambda: 6 <= box("GOOD")["current_a"] <= 10, 60)
        assert box("GOOD")["errors"] == []
        assert SECRET not in agent.output
        assert "Traceback" not in agent.output, agent.output
