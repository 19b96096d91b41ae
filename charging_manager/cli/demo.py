"""``charging_manager demo``: a simulated site, its agent and a cloud server, all real processes on this machine.

Everything is configured the way a person would do it, over the daemons' own HTTP API.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from charging_manager.cli.children import Family
from charging_manager.cli.client import Api
from charging_manager.cli.table import WrongUsage
from charging_manager.errors import ConfigError
from charging_manager.http.passwords import AdminPassword
from charging_manager.paths import make_private

CLOUD_ID = "demo-site"
PAUSE_S = 60
"""A car that was paused for want of current waits this long; 300 s, as shipped, would make a short demo look idle."""
SITE = """
seed = {seed}

[house]
base_a = 4.0
breath_a = 2.0
peak_a = 8.0
peak_every_s = 120
peak_for_s = 40

[roof]
peak_a = 15.0
day_s = 1200

[[device]]
id = "left"
driver = "cfos-power-brain"
address = "tcp://127.0.0.1:0?unit=1"
visits = true

[[device]]
id = "right"
driver = "keba-p30"
address = "tcp://127.0.0.1:0?unit=255"
phases = [2, 3, 1]
visits = true

[[device]]
id = "yard"
driver = "heidelberg-energy-control"
address = "rtu://{folder}/rtu-line?baud=19200&parity=E&unit=1"
phases = [3, 1, 2]
visits = true

[[device]]
id = "grid"
driver = "eastron-sdm630"
address = "rtutcp://127.0.0.1:0?unit=1"
sees = "grid"

[[device]]
id = "solar"
driver = "sunspec-meter-203"
address = "tcp://127.0.0.1:0?unit=1"
sees = "solar"
"""
DEVICES = (
    {"id": "left", "name": "Garage left", "driver": "cfos-power-brain", "circuit": "garage"},
    {"id": "right", "name": "Garage right", "driver": "keba-p30", "circuit": "garage", "phases": [2, 3, 1]},
    {
        "id": "yard",
        "name": "Yard",
        "driver": "heidelberg-energy-control",
        "circuit": "main",
        "phases": [3, 1, 2],
        "mode": "min-solar",
    },
    {"id": "grid", "name": "Grid meter", "driver": "eastron-sdm630", "circuit": "main", "role": "grid"},
    {"id": "solar", "name": "Roof", "driver": "sunspec-meter-203", "circuit": "main", "role": "solar"},
)
CIRCUITS = (
    {"id": "main", "name": "Main fuse", "parent": None, "limit_a": [35, 35, 35], "reserve_a": 3.0},
    {"id": "garage", "name": "Garage", "parent": "main", "limit_a": [25, 25, 25]},
)


@frozen
class Ports:
    """Where the two daemons listen."""

    agent: int
    cloud: int


def demo(arguments: argparse.Namespace) -> int:
    """Run until Ctrl-C (status 0). Raises: ChargingManagerError if a part does not come up."""
    ports = Ports(arguments.port, arguments.cloud_port)
    for port, option in ((ports.agent, "--port"), (ports.cloud, "--cloud-port")):
        if not 1 <= port <= 65535:
            raise WrongUsage(f"{option} is {port}; it must be from 1 to 65535")
        _check_free(port, option)
    if ports.agent == ports.cloud:
        raise WrongUsage("--port and --cloud-port are the same; choose two")
    with tempfile.TemporaryDirectory(prefix="charging-manager-demo-") as temporary:
        folder = make_private(Path(arguments.data).absolute()) if arguments.data else Path(temporary)
        family = Family(folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: family.stop_wanted.set())
        try:
            for key, value in _bring_up(family, folder, ports, arguments.seed).items():
                print(f"{key}: {value}")
            print("demo ready", flush=True)
            family.watch()
        except KeyboardInterrupt:
            pass
        finally:
            family.end()
    return 0


def _check_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError("", f"port {port} is taken ({error.strerror}); choose another with {option}") from error


def _bring_up(family: Family, folder: Path, ports: Ports, seed: int) -> Mapping[str, str]:
    """Start and configure everything; returns the block that the demo prints."""
    agent_password, cloud_password = secrets.token_urlsafe(9), secrets.token_urlsafe(9)
    site_data, cloud_data = make_private(folder / "site"), make_private(folder / "cloud")
    AdminPassword(site_data / "admin").write(agent_password)
    AdminPassword(cloud_data / "admin").write(cloud_password)
    (site_data / "charging-manager.toml").write_text(f"[agent]\npause_s = {PAUSE_S}\n")
    addresses, control = _start_simulators(family, folder, seed)
    _start_daemon(family, "cm-cloud", cloud_data, ports.cloud)
    _start_daemon(family, "cm-agent", site_data, ports.agent)

    certificate = cloud_data / "cloud" / "tls" / "pair.pem"
    family.until(certificate.exists, "the cloud server's certificate")
    cloud = Api(f"https://127.0.0.1:{ports.cloud}", certificate)
    family.until(lambda: cloud.call("GET", "/api/v1/me"), "the cloud server")
    tunnel_password = secrets.token_urlsafe(15)
    cloud.call("POST", "/api/v1/cloud/admin/login", {"password": cloud_password})
    installations = cloud.call("GET", "/api/v1/cloud/admin/installations")["installations"]
    if any(row["cloud_id"] == CLOUD_ID for row in installations):
        cloud.call("DELETE", f"/api/v1/cloud/admin/installations/{CLOUD_ID}")
    cloud.call("POST", "/api/v1/cloud/admin/installations", {"cloud_id": CLOUD_ID, "password": tunnel_password})

    agent = Api(f"http://127.0.0.1:{ports.agent}")
    family.until(lambda: agent.call("GET", "/api/v1/me"), "the agent")
    agent.call("POST", "/api/v1/login", {"password": agent_password})
    user_id = _configure(agent, addresses)
    server = f"127.0.0.1:{ports.cloud}"
    wanted = {"enabled": True, "server": server, "cloud_id": CLOUD_ID, "password": tunnel_password}
    agent.call("PUT", "/api/v1/config/cloud", wanted)
    family.until(lambda: _is_up(agent), "the site's devices and the tunnel")
    return {
        "agent-url": f"http://127.0.0.1:{ports.agent}/",
        "agent-admin-password": agent_password,
        "cloud-url": f"https://127.0.0.1:{ports.cloud}/",
        "cloud-admin-password": cloud_password,
        "cloud-id": CLOUD_ID,
        "user-id": user_id,
        "simulator-url": control,
    }


def _start_simulators(family: Family, folder: Path, seed: int) -> tuple[Mapping[str, str], str]:
    plan = folder / "site.toml"
    plan.write_text(SITE.format(seed=seed, folder=folder))
    command = [sys.executable, "-m", "charging_manager.sim", str(plan), "--control", "0"]
    child = family.start("simulators", command)
    family.until(lambda: "simulators ready" in child.log.read_text("utf-8"), "the simulated devices")
    pairs = (line.partition(": ") for line in child.log.read_text("utf-8").splitlines())
    said = {key: value for key, _, value in pairs if value}
    return {key: said[key] for key in (str(device["id"]) for device in DEVICES)}, said["control"]


def _start_daemon(family: Family, plugin: str, data: Path, port: int) -> None:
    twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    family.start(plugin, [*twistd, "-n", plugin, "--data", str(data), "--port", str(port)])


def _configure(agent: Api, addresses: Mapping[str, str]) -> str:
    """Circuits, devices and one user; returns the user's ID."""
    agent.call("PUT", "/api/v1/site", {"name": "Demo house", "circuits": list(CIRCUITS)})
    there = {device["id"] for device in agent.call("GET", "/api/v1/devices")["devices"]}
    for device in DEVICES:
        body = {**device, "address": addresses[str(device["id"])]}
        if device["id"] in there:
            agent.call("PUT", f"/api/v1/devices/{device['id']}", body)
        else:
            agent.call("POST", "/api/v1/devices", body)
    metered = [{**CIRCUITS[0], "meter": "grid"}, CIRCUITS[1]]
    agent.call("PUT", "/api/v1/site", {"circuits": metered})
    for user in agent.call("GET", "/api/v1/users")["users"]:
        if user["name"] == "Camille":
            agent.call("DELETE", f"/api/v1/users/{user['id']}")
    camille = {"name": "Camille", "remote": True, "charge_points": ["right"], "language": "fr"}
    user_id: str = agent.call("POST", "/api/v1/users", camille)["user_id"]
    return user_id


def _is_up(agent: Api) -> bool:
    """Everything answers, the meter was read and the tunnel stands."""
    state = agent.call("GET", "/api/v1/state")
    metered = all(meter["power_w"] is not None for meter in state["meters"])
    steered = all(point["status"] != "offline" for point in state["charge_points"])
    return bool(state["meters"]) and metered and steered and state["cloud"]["state"] == "connected"
