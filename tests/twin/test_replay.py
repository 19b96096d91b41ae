"""What would have been: derived from a recording, and answered by the plant behind it."""

from __future__ import annotations

import json
import time
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from attrs import evolve

from charging_manager.cli.main import main
from charging_manager.errors import ConfigError
from charging_manager.model.site import Circuit, Meter, MeterRole
from charging_manager.twin.build import Run, build
from charging_manager.twin.changes import change, change_each
from charging_manager.twin.derive import derive
from charging_manager.twin.keys import Keys
from charging_manager.twin.plant import HouseNow
from charging_manager.twin.recording import Recording, read_recording
from charging_manager.twin.report import Result, result_of
from charging_manager.twin.scenario import make_scenario
from charging_manager.twin.whatif import replay
from tests.twin.small import small
from tests.twin.test_recording import Studio


def status_of(*words: str) -> int:
    try:
        return main(list(words))
    except SystemExit as ended:
        return int(ended.code or 0)


def of_today(path: Path, *wishes: str) -> Result:
    recording = read_recording(path)
    run = replay(recording, derive(recording), lambda site: change(site, wishes))
    for _ in run.course.run():
        pass
    return result_of(run)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours of a small site in which some cars fill up."""
    folder = tmp_path_factory.mktemp("night")
    scenario = small()
    groups = tuple(evolve(group, needs_wh=4_000.0, needs_spread=0.4) for group in scenario.groups)
    return Studio(folder).record(evolve(scenario, groups=groups), 3 * 3600, exact=False)


def test_who_came_and_what_they_took_is_found_again(night: Path) -> None:
    recording = read_recording(night)
    found = derive(recording)
    run = build(small(), 1, 1)
    real = [visit for visit in run.plant._visits]  # noqa: C416 - an iterator
    assert {visit.charge_point for visit in found.visits} == {"box-1", "box-2", "box-3", "box-4"}
    assert run.plant._comes is not None
    arrivals = {visit.charge_point: visit.arrive_s for visit in [run.plant._comes, *real] if visit.arrive_s < 10_000}
    for visit in found.visits:
        assert visit.charge_point is not None
        assert abs(visit.arrive_s - arrivals[visit.charge_point]) <= 3
        assert visit.kind.phases == 3
        assert 1_000 < visit.needs_wh < 12_000, "it was full, so that what it took is what it wanted"


def test_the_same_site_gives_the_same_night_within_two_percent(night: Path) -> None:
    result = of_today(night)
    recorded_wh = derive(read_recording(night)).recorded_wh
    assert recorded_wh > 10_000
    assert result.sums.charging_wh == pytest.approx(recorded_wh, rel=0.02)
    assert [load for load in result.loads if load.over_s > 10] == []


def test_a_lower_limit_means_longer_waits_and_holds(night: Path) -> None:
    before, after = of_today(night), of_today(night, "main.limit_a=12")
    assert max(load.highest_a for load in after.loads) < 13.0 < max(load.highest_a for load in before.loads)
    assert sum(car.waited_s for car in after.cars) > sum(car.waited_s for car in before.cars)
    assert after.sums.charging_wh <= before.sums.charging_wh + 1.0
    assert after.sums.house_wh == pytest.approx(before.sums.house_wh)


def test_both_are_printed_and_drawn(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    svg, figures = tmp_path / "both.svg", tmp_path / "both.json"
    words = ("replay", str(night), "--set", "main.limit_a=16", "--svg", str(svg), "--json", str(figures))
    assert status_of(*words) == 0
    out = capsys.readouterr().out
    assert "as it would have been" in out and "of 16 A" in out and "of 20 A" in out
    assert len(ET.parse(svg).getroot().findall("{http://www.w3.org/2000/svg}svg")) == 2


def test_without_a_change_it_is_decided_again(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("replay", str(night)) == 0
    assert "all the same" in capsys.readouterr().out


def test_other_rules_are_tried(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('{"rules": [{"name": "never", "pause": true}]}')
    assert status_of("replay", str(night), "--rules", str(rules)) == 0
    charged = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("charged"))
    assert charged.split()[-2:] == ["0.0", "kWh"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--set", "mian.limit_a=3"), 1),
        (("--set", "main.limit_a=many"), 1),
        (("--rules", "/no/such/file"), 1),
        (("--rules", "/dev/null"), 1),
        (("--hungry-kwh", "-1"), 2),
        (("--every", "99"), 2),
        (("--svg", "/no/such/folder/x.svg"), 1),
    ],
)
def test_wrong_words_cost_one_line(
    night: Path, words: tuple[str, ...], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("replay", str(night), *words) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("charging_manager replay")


@pytest.mark.parametrize("content", [b"", b"hello", b"charging-manager recording 99\n"])
def test_what_is_no_recording_costs_one_line(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "strange"
    path.write_bytes(content)
    assert status_of("replay", str(path)) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert status_of("replay", str(tmp_path / "missing")) == 1


@pytest.fixture(scope="module")
def rebuilt(night: Path) -> Recording:
    """The same night as if ``box-3`` had been put behind a fuse of its own after an hour, and ``box-4`` taken down."""
    recording = read_recording(night)
    before = recording.sites[0][1]
    third = evolve(before.charge_points["box-3"], circuit="shed")
    points = {name: point for name, point in before.charge_points.items() if name != "box-4"} | {"box-3": third}
    circuits = {**before.circuits, "shed": Circuit("shed", "Shed", "main", (10.0, 10.0, 10.0))}
    after = evolve(before, circuits=circuits, charge_points=points)
    recording.sites.append((recording.tracks[0].now_s + 3600.0, after))
    return recording


def rerun(recording: Recording, *wishes: str) -> tuple[Run, Result]:
    run = replay(recording, derive(recording), change_each([site for _, site in recording.sites], wishes))
    for _ in run.course.run():
        pass
    return run, result_of(run)


def test_a_site_that_was_rebuilt_meanwhile_is_carried_through(rebuilt: Recording) -> None:
    run, result = rerun(rebuilt)
    shed = [load for load in result.loads if load.circuit == "shed"]
    assert len(shed) == 3 and 6.0 <= max(load.highest_a for load in shed) <= 10.0
    assert min((load.at - run.start).total_seconds() for load in shed if load.highest_a) >= 3600
    assert [load for load in result.loads if load.over_s > 10] == []
    gone = [stay for stay in run.plant.stays if stay.box == "box-4"]
    assert gone and all(stay.left_s is not None and stay.left_s <= 3600 for stay in gone)
    third = [stay for stay in run.plant.stays if stay.box == "box-3"]
    assert any(stay.since_s < 3600 < (stay.left_s or 0) for stay in third), "its car stayed where it was"
    line = {name: index for index, name in enumerate(run.plant.circuits)}
    for phase in range(3):
        flows = sum(box.flows_ma[phase] for box in run.plant.boxes.values())
        house = run.plant._houses["main"][phase]
        assert run.plant.line_ma[3 * line["main"] + phase] == flows + house


def test_a_change_is_made_in_each_configuration_that_has_its_place(rebuilt: Recording) -> None:
    _, result = rerun(rebuilt, "main.limit_a=14", "shed.limit_a=8")
    highest = {load.circuit: load.highest_a for load in sorted(result.loads, key=lambda load: load.highest_a)}
    assert highest["main"] < 15.0 and 6.0 <= highest["shed"] <= 8.0
    with pytest.raises(ConfigError, match="did you mean shed"):
        change_each([site for _, site in rebuilt.sites], ["shad.limit_a=8"])
    with pytest.raises(ConfigError, match="must be a number"):
        change_each([site for _, site in rebuilt.sites], ["shed.reserve_a=true"])


def test_a_load_that_is_no_longer_seen_apart_is_not_counted_twice(rebuilt: Recording) -> None:
    """The house of a circuit whose meter went is in what the circuit above shows."""
    first = rebuilt.sites[0][1]
    meter = Meter("sub", "Sub", "sub", MeterRole.CIRCUIT)
    circuits = {**first.circuits, "sub": Circuit("sub", "Sub", "main", (16.0,) * 3, meter="sub")}
    metered = evolve(first, circuits=circuits, meters={**first.meters, "sub": meter})
    plain = {**circuits, "sub": evolve(circuits["sub"], meter=None)}
    begun = rebuilt.tracks[0].now_s
    tracks = [evolve(rebuilt.tracks[0], meters={**rebuilt.tracks[0].meters, "sub": [3.0, 3.0, 3.0, None]})]
    told = evolve(rebuilt, tracks=[*tracks, *rebuilt.tracks[1:]])
    told.sites = [(begun, metered), (begun + 3600.0, evolve(first, circuits=plain))]
    houses = [(at, what) for at, what in derive(told).events if isinstance(what, HouseNow) and what.circuit == "sub"]
    assert [(at, what.load_ma) for at, what in houses] == [(0, (3000, 3000, 3000)), (3600, (0, 0, 0))]


LARGE = """
name = "Two hundred"
start = 2026-01-12
timezone = "Europe/Berlin"
[[circuit]]
id = "main"
limit_a = 640
reserve_a = 10
[[house]]
circuit = "main"
day_kwh = 400
profile = "office"
noise = 0.1
every_s = 60
peaks = 20
[[cars]]
name = "home"
count = 100
habit = "home"
[[cars]]
name = "commuter"
count = 70
habit = "commuter"
max_a = 32
phases = 1
[[cars]]
name = "visitor"
count = 30
habit = "visitor"
""" + "\n".join(
    f"""
[[circuit]]
id = "c{number}"
parent = "main"
limit_a = 125
metered = true
[[charge_point]]
id = "p{number}"
count = 25
circuit = "c{number}"
rotate = true
"""
    for number in range(8)
)


@pytest.mark.slow
def test_a_day_of_200_charge_points_replays_in_under_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the processor's time of this process, so that a busy machine does not judge: *as it was* runs beside it."""
    scenario = make_scenario(Keys(tomllib.loads(LARGE)))
    assert len(scenario.site.charge_points) == 200
    studio = Studio(tmp_path)
    studio.keeps = False
    path = studio.record(scenario, 86_400, exact=False, cycle_s=3)
    assert path.stat().st_size < 60_000_000
    figures = tmp_path / "figures.json"
    began = time.process_time()
    assert status_of("replay", str(path), "--set", "c0.limit_a=63", "--json", str(figures)) == 0
    took = time.process_time() - began
    assert "200 charge points" in capsys.readouterr().out
    told = json.loads(figures.read_text())
    before, after = told["before"], told["after"]
    assert before["days"] == pytest.approx(1.0, abs=0.001)
    recorded_wh = derive(read_recording(path)).recorded_wh
    assert before["charged_wh"] == pytest.approx(recorded_wh, rel=0.05)
    assert 1e6 < after["charged_wh"] < before["charged_wh"]
    assert took < 60.0, f"{took:.0f} s"
