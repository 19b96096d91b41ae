"""The site's figures in Prometheus' text format (Exposition formats, version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable

from charging_manager.agent.pace import quantiles
from charging_manager.agent.running import RunningSite
from charging_manager.http.tally import Tally

Sample = tuple[dict[str, str], float | int | None]


def metrics(site: RunningSite, version: str, tally: Tally) -> str:
    """All figures; what is unknown is left out."""
    picture = site.hub.picture or site.picture()
    state = picture.said("en")
    boxes, meters = state["charge_points"].values(), state["meters"].values()
    circuits = state["circuits"].values()
    cycle = state["cycle"]
    blocks = [
        _block("info", "gauge", "Version of the program.", [({"version": version}, 1)]),
        _block("cycle_number", "counter", "Cycles since the start.", [({}, cycle["number"])]),
        _block("cycle_duration_seconds", "gauge", "Time that the last decision took.", [({}, cycle["duration_s"])]),
        *_pace(site),
        _block(
            "charge_point_setpoint_amperes",
            "gauge",
            "Setpoint per phase.",
            [({"charge_point": box["id"]}, box["setpoint_a"]) for box in boxes],
        ),
        _block(
            "charge_point_power_watts",
            "gauge",
            "Power drawn.",
            [({"charge_point": box["id"]}, box["power_w"]) for box in boxes],
        ),
        _block(
            "charge_point_status",
            "gauge",
            "1 for the status that holds.",
            [({"charge_point": box["id"], "status": box["status"]}, 1) for box in boxes],
        ),
        _block(
            "charge_point_energy_watt_hours_total",
            "counter",
            "Energy delivered in all.",
            [({"charge_point": box["id"]}, box["energy_wh"]) for box in boxes],
        ),
        _block(
            "charge_point_phase_switches_total",
            "counter",
            "How often its phases were switched since the start.",
            [({"charge_point": box["id"]}, box["phase_switches"]) for box in boxes],
        ),
        _block("surplus_watts", "gauge", "What the sun leaves for cars.", [({}, state["site"]["surplus_w"])]),
        _block(
            "meter_power_watts",
            "gauge",
            "Power; positive is consumption.",
            [({"meter": meter["id"], "role": meter["role"] or ""}, meter["power_w"]) for meter in meters],
        ),
        *(
            _block(
                f"circuit_{name}_amperes",
                "gauge",
                text,
                [
                    ({"circuit": circuit["id"], "phase": f"L{phase + 1}"}, circuit[f"{name}_a"][phase])
                    for circuit in circuits
                    for phase in range(3)
                ],
            )
            for name, text in (("limit", "Limit."), ("used", "In use."), ("free", "Still free."))
        ),
        _block(
            "circuit_stale",
            "gauge",
            "1 while the circuit's meter is silent.",
            [({"circuit": circuit["id"]}, int(circuit["stale"])) for circuit in circuits],
        ),
        _block("records_waiting", "gauge", "Records not written yet.", [({}, site.records.waiting)]),
        _block("http_requests_total", "counter", "Requests of browsers and programs.", [({}, tally.heard)]),
        _block("http_refused_total", "counter", "Malformed, too large or too slow ones.", [({}, tally.refused)]),
        _block("relayed_requests_total", "counter", "Requests that the cloud brought.", [({}, tally.relayed)]),
        _block("event_streams", "gauge", "Open event streams.", [({}, site.hub.readers)]),
        _block(
            "cloud_connected", "gauge", "1 while the tunnel is up.", [({}, int(state["cloud"]["state"] == "connected"))]
        ),
    ]
    return "".join(blocks)


def _pace(site: RunningSite) -> Iterable[str]:
    """How fast it all is; quantile 1 is the most."""
    now_s = site.clock.seconds()
    newest = [site.readings.last(device) for device in site.readings.devices()]
    ages = quantiles(now_s - reading.taken_s for reading in newest if reading is not None)
    for name, text, values in (
        ("recent_cycle_duration_seconds", "Deciding and handing out, of the last cycles.", site.pace.decided_s),
        ("recent_cycle_handed_seconds", "Until the last changed setpoint was confirmed.", site.pace.handed_s),
        ("reading_age_seconds", "Age of the newest reading of all devices.", ages),
    ):
        yield _block(name, "gauge", text, [({"quantile": f"{share:g}"}, value) for share, value in values.items()])
    yield _block("polls_total", "counter", "Readings taken from devices.", [({}, site.readings.taken)])


def _block(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    full = f"charging_manager_{name}"
    lines = [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
    for labels, value in samples:
        if value is not None:
            inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
            lines.append(f"{full}{{{inside}}} {value}" if inside else f"{full} {value}")
    return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
