"""A real agent with 500 charge points: simulated Modbus TCP boxes in other processes, on 40 circuits with meters.

Four processes play a quarter of the garage each: 125 boxes with a car at every one, a distribution board and nine
circuits below it, all metered, all with less current than the cars would take. The agent is ``twistd cm-agent`` as it
ships. Every second a car goes and another comes in each quarter, so that there is always something to write. Looked at
from outside: the agent's own metrics, and its memory in /proc. *cycle* is the time from the beginning of a cycle until
the last box whose setpoint changed in it has confirmed that; *age* that of the newest readings, at any moment.
Run alone: ``make bench ONLY=agent-500``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from charging_manager.agent.config import Configuration, DeviceSettings, Kind
from charging_manager.agent.store import write_configuration
from charging_manager.http.passwords import AdminPassword
from charging_manager.model.site import Circuit, MeterRole
from charging_manager.storage.database import Database

Figure = tuple[str, float, str, str, float]

AREAS, CIRCUITS, POINTS = 4, 40, 500
BOXES = ("abb-terra-ac", "cfos-power-brain")
SETTLE_S, WATCH_S = 60, 60
LIMIT_A = (110.0, 110.0, 110.0)
AREA_A = (900.0, 900.0, 900.0)


def area_plan(area: int) -> tuple[str, dict[str, str]]:
    """The TOML of one process, and the circuit of each of its devices."""
    leaves = [f"c{area}-{number}" for number in range(CIRCUITS // AREAS - 1)]
    lines: list[str] = []
    circuit_of: dict[str, str] = {}
    below: dict[str, list[str]] = {leaf: [] for leaf in leaves}
    for number in range(POINTS // AREAS):
        name, circuit = f"p{area}-{number}", leaves[number % len(leaves)]
        below[circuit].append(name)
        circuit_of[name] = circuit
        lines += ["[[device]]", f'id = "{name}"', f'driver = "{BOXES[number % len(BOXES)]}"']
        lines += ['address = "tcp://127.0.0.1:0?unit=1"', "plugged = true", f"phases = {_phases(number)}"]
    for circuit, boxes in ((f"c{area}", [name for names in below.values() for name in names]), *below.items()):
        name = f"m{circuit[1:]}"
        circuit_of[name] = circuit
        lines += ["[[device]]", f'id = "{name}"', 'driver = "janitza-umg-float"', 'sees = "chargers"']
        lines += [f"chargers = {boxes}", 'address = "tcp://127.0.0.1:0?unit=1"']
    return "\n".join(lines).replace("'", '"'), circuit_of


def _phases(number: int) -> list[int]:
    return ([1, 2, 3], [2, 3, 1], [3, 1, 2], [number % 3 + 1])[number % 4]


def configuration(addresses: dict[str, str], circuit_of: dict[str, str]) -> Configuration:
    """The whole garage; the root has no meter, so it carries what its boards show."""
    circuits = {"root": Circuit("root", "Root", None, (4000.0, 4000.0, 4000.0))}
    for area in range(AREAS):
        board = f"c{area}"
        circuits[board] = Circuit(board, board, "root", AREA_A, 2.0, 0.0, f"m{area}")
        for number in range(CIRCUITS // AREAS - 1):
            leaf = f"c{area}-{number}"
            circuits[leaf] = Circuit(leaf, leaf, board, LIMIT_A, 2.0, 0.0, f"m{area}-{number}")
    devices = {}
    for name, circuit in circuit_of.items():
        number = int(name.rpartition("-")[2] if "-" in name else 0)
        if name.startswith("m"):
            devices[name] = DeviceSettings(
                name, name, Kind.METER, "janitza-umg-float", addresses[name], circuit, MeterRole.CIRCUIT
            )
        else:
            driver = BOXES[number % len(BOXES)]
            devices[name] = DeviceSettings(
                name, name, Kind.CHARGE_POINT, driver, addresses[name], circuit, phases=tuple(_phases(number))
            )
    return Configuration(name="bench", circuits=circuits, devices=devices, unbalance_a=None)


@contextlib.contextmanager
def simulators(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, str], list[int], list[int]]]:
    """Four processes; where each device is, the circuit of each, the ports of their doors, and their ids."""
    started: list[subprocess.Popen[str]] = []
    addresses: dict[str, str] = {}
    circuit_of: dict[str, str] = {}
    doors: list[int] = []
    try:
        for area in range(AREAS):
            toml, places = area_plan(area)
            plan = folder / f"area{area}.toml"
            plan.write_text(toml)
            circuit_of |= places
            command = [sys.executable, "-m", "charging_manager.sim", str(plan), "--control", "0"]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for process in started:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == "simulators ready":
                    break
                name, _, address = line.strip().partition(": ")
                addresses[name] = address
            doors.append(int(addresses.pop("control").rpartition(":")[2].partition("/")[0]))
        yield addresses, circuit_of, doors, [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


@contextlib.contextmanager
def agent(data: Path, config: Configuration) -> Iterator[tuple[int, int]]:
    """The agent on this configuration; its process id and port."""
    (data / "agent").mkdir(parents=True, mode=0o700)
    AdminPassword(data / "admin").write("bench bench bench")
    database = Database.open_here(data / "agent/agent.db", files("charging_manager.agent") / "schema")
    database.write(lambda connection: write_configuration(connection, config))
    database.close()
    twistd = str(Path(sys.executable).parent / "twistd")
    log = (data / "log").open("w")
    process = subprocess.Popen(
        [twistd, "-n", "cm-agent", "--data", str(data), "--port", "0"], stdout=log, stderr=subprocess.STDOUT, cwd=data
    )
    try:
        until_s = time.monotonic() + 30
        port = None
        while port is None and time.monotonic() < until_s:
            time.sleep(0.2)
            found = re.search(r"listens on port (\d+)", (data / "log").read_text())
            port = int(found[1]) if found else None
        assert port is not None, (data / "log").read_text()[-3000:]
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def metrics(port: int) -> dict[str, float]:
    """The agent's figures now: by name without the prefix, and quantile where there is one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.removeprefix("charging_manager_").rpartition(" ")
        if not line.startswith("#") and ("{" not in name or 'quantile="' in name):
            found[name.replace('{quantile="', " ").replace('"}', "")] = float(value)
    return found


def stir(doors: list[int], turn: int) -> None:
    """In every area one car goes, and the one that went before comes back: setpoints of its whole circuit move."""
    for area, door in enumerate(doors):
        connection = http.client.HTTPConnection("127.0.0.1", door, timeout=20)
        away, back = (f"p{area}-{(turn + less) % (POINTS // AREAS)}" for less in (0, -1))
        what = {"devices": {away: {"plugged": False}, back: {"plugged": True}}}
        connection.request("POST", "/state", json.dumps(what), {"Content-Type": "application/json"})
        assert connection.getresponse().read() is not None
        connection.close()


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def measure() -> list[Figure]:
    """Two minutes of a full garage; the first half, in which it starts, is not counted."""
    ages: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            simulators(folder) as (addresses, circuit_of, doors, pids),
            agent(folder / "data", configuration(addresses, circuit_of)) as (pid, port),
        ):
            for turn in range(SETTLE_S):
                stir(doors, turn)
                time.sleep(1)
            before, began_s = metrics(port), time.monotonic()
            used = [cpu_s(each) for each in (pid, *pids)]
            for turn in range(WATCH_S):
                stir(doors, SETTLE_S + turn)
                time.sleep(1)
                now = metrics(port)
                ages.append(now["reading_age_seconds 0.95"])
            took_s = time.monotonic() - began_s
            used = [round((cpu_s(each) - was) / took_s, 2) for each, was in zip((pid, *pids), used, strict=True)]
            memory = resident_mib(pid)
            watched = metrics(port)
    polls = (watched["polls_total"] - before["polls_total"]) / (POINTS + CIRCUITS) / took_s
    cycles = (watched["cycle_number"] - before["cycle_number"]) / took_s
    print(
        f"agent with {POINTS} charge points: {cycles:.3f} cycles and {polls:.3f} readings of each device a second; "
        f"decided in {1000 * watched['recent_cycle_duration_seconds 0.5']:.0f} ms (median), "
        f"{1000 * watched['recent_cycle_duration_seconds 0.95']:.0f} ms (95 %); "
        f"processors used by the agent {used[0]}, by the simulators {used[1:]}"
    )
    return [
        ("agent-500-cycle", watched["recent_cycle_handed_seconds 0.95"], "s", "<=", 1.0),
        ("agent-500-cycle-median", watched["recent_cycle_handed_seconds 0.5"], "s", "<=", 1.0),
        ("agent-500-age", sorted(ages)[int(0.95 * len(ages))], "s", "<=", 2.0),
        ("agent-500-polled", polls, "1/s", ">=", 0.98),
        ("agent-500-memory", memory, "MiB", "<=", 256.0),
    ]


FIGURES = {"agent-500": measure}
