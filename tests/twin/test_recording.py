"""What a recorder wrote is read back to the last bit, and decided again it gives the same plans."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.task import Clock

from charging_manager.agent.recorder import Recorder
from charging_manager.agent.recording_settings import RecordingSettings
from charging_manager.control.decide import Rules, decide
from charging_manager.control.storage import soc_pct
from charging_manager.errors import ConfigError
from charging_manager.model.goal import Goal
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Reading
from charging_manager.model.site import Meter, MeterRole, StorageRole
from charging_manager.twin.again import decide_again
from charging_manager.twin.build import build
from charging_manager.twin.course import Cycle
from charging_manager.twin.frames import FIRST_LINE, Reader
from charging_manager.twin.recording import full_cycles, read_recording
from charging_manager.twin.scenario import Scenario
from tests.twin.small import small

START = datetime.fromisoformat("2026-01-12T00:00:00+01:00")


class Studio:
    """A recorder beside a simulated site."""

    def __init__(self, folder: Path, settings: RecordingSettings | None = None) -> None:
        self.clock = Clock()
        self.settings = settings or RecordingSettings()
        self.folder = folder
        self.disk: Exception | None = None
        self.recorder = Recorder(folder, self.clock, self.now, lambda: self.settings, Rules(), self.in_thread)
        self.keeps = True
        """Off for long days: memory full of images makes everything slow."""
        self.images: list[SiteImage] = []
        self.plans: list[Plan] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    def in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        return execute(function) if self.disk is None else fail(self.disk)

    def record(self, scenario: Scenario, seconds: int, *, exact: bool = True, cycle_s: int = 1) -> Path:
        def each(cycle: Cycle) -> None:
            image, plan = cycle.image, cycle.plan
            self.clock.advance(max(0.0, image.now_s - 10_000.0 - self.clock.seconds()))
            if self.keeps:
                self.images.append(image)
                self.plans.append(plan)
            self.recorder.see(image, plan)

        run = build(scenario, 1, 1, each=each, exact=exact, seconds=seconds, cycle_s=cycle_s)
        for _ in run.course.run():
            pass
        self.recorder.flush()
        whole = self.folder / "whole.bin"
        whole.write_bytes(b"".join(path.read_bytes() for path in self.recorder.files()))
        return whole


def test_recorded_decisions_come_out_the_same_to_the_last_bit(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    path = studio.record(small(), 900)
    found = read_recording(path)
    assert found.full == len(studio.plans) and found.trouble is None
    compared = decide_again(path, found.rules)
    assert compared.difference is None
    assert (compared.cycles, compared.stretches) == (len(studio.plans), 1)
    for mine, told in zip(full_cycles(path), studio.images, strict=True):
        assert mine.image.readings == told.readings
        assert mine.image.obedience == told.obedience
        assert mine.image.wishes.keys() == told.wishes.keys()
        assert mine.image.now_at == told.now_at


def test_a_stretch_that_begins_in_the_middle_of_things_comes_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charging_manager.twin.tape.SMALL", 1)
    studio = Studio(tmp_path)
    path = studio.record(small(), 2000)
    found = read_recording(path)
    compared = decide_again(path, found.rules)
    assert compared.difference is None
    assert compared.stretches == 3 and 3 * 55 <= compared.cycles <= 3 * 65
    assert any(setpoint.current_a for setpoint in studio.plans[-1].setpoints.values())


def test_a_controller_that_decides_otherwise_is_told_apart(tmp_path: Path) -> None:
    path = Studio(tmp_path).record(small(), 900)
    compared = decide_again(path, Rules(less_after_s=5.0, raise_after_lowering_s=1.0, pause_s=10.0))
    assert compared.difference is not None

    def greedy(image: SiteImage, rules: Rules) -> Plan:
        plan = decide(image, rules)
        name = "box-2"
        return evolve(plan, setpoints={**plan.setpoints, name: evolve(plan.setpoints[name], current_a=7.0)})

    compared = decide_again(path, Rules(), greedy)
    assert compared.difference is not None and compared.difference.charge_point == "box-2"


def test_a_torn_end_is_dropped_and_said(tmp_path: Path) -> None:
    whole = Studio(tmp_path).record(small(), 900)
    data = whole.read_bytes()
    for cut in (1, 500):
        torn = tmp_path / "torn.bin"
        torn.write_bytes(data[:-cut])
        found = read_recording(torn)
        assert found.trouble is not None and found.tracks
        assert decide_again(torn, found.rules).difference is None


def test_a_program_that_was_killed_and_started_again_leaves_one_recording(tmp_path: Path) -> None:
    whole = Studio(tmp_path).record(small(), 600).read_bytes()
    twice = tmp_path / "twice.bin"
    twice.write_bytes(whole[:-30] + whole)
    found = full_cycles(twice)
    assert sum(1 for _ in found) > 900


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no recording"),
        (b"hello", "no recording"),
        (b"charging-manager recording 99\n", "newer version"),
        (b"charging-manager recording one\n", "no recording"),
        (FIRST_LINE, "nothing yet"),
        (FIRST_LINE + b"\0" * 20, "nothing yet"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "strange.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_recording(path)


def test_flipped_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    whole = Studio(tmp_path).record(small(), 300).read_bytes()
    path = tmp_path / "flipped.bin"
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        try:
            read_recording(path)
        except ConfigError:
            continue


def test_nobody_is_named_in_a_recording(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    path = studio.record(small(), 900)
    assert {wish.user for each in full_cycles(path) for wish in each.image.wishes.values()} >= {"user-1", "user-2"}
    assert "car 2" in {wish.user for image in studio.images for wish in image.wishes.values()}
    assert not any(b"car " in orjson.dumps(record) for record in Reader(path))
    assert read_recording(path).sites[0][1].serial == ""


@pytest.mark.slow
def test_old_files_go_and_a_new_one_is_begun_every_hour(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.record(small(), 3 * 3600, exact=False)
    assert len(studio.recorder.files()) == 3
    for path in studio.recorder.files():
        assert read_recording(path).tracks and path.stat().st_mode & 0o777 == 0o600
    before = sum(path.stat().st_size for path in studio.recorder.files())
    assert 0 < before < 2_000_000


@pytest.mark.slow
def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charging_manager.agent.recorder.FILE_S", 200.0)
    studio = Studio(tmp_path, RecordingSettings(mib=1))
    monkeypatch.setattr("charging_manager.agent.recorder.MIB", 20_000)
    studio.record(small(), 1500)
    assert sum(path.stat().st_size for path in studio.recorder.files()) < 20_000 * 3
    assert len(studio.recorder.files()) < 10


def test_a_full_disk_is_said_once_and_recording_goes_on_later(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.record(small(), 100)
    image, plan = studio.images[-1], studio.plans[-1]
    studio.disk = OSError(28, "No space left on device")
    for _ in range(40):
        studio.clock.advance(1)
        studio.recorder.see(image, plan)
    assert studio.recorder.trouble == "No space left on device"
    studio.disk = None
    for _ in range(90):
        studio.clock.advance(1)
        studio.recorder.see(image, plan)
    assert studio.recorder.trouble is None
    assert len(studio.recorder.files()) == 2


def test_switched_off_nothing_is_kept(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    studio.record(small(), 100)
    assert studio.recorder.files()
    studio.settings = RecordingSettings(enabled=False)
    studio.recorder.see(studio.images[-1], studio.plans[-1])
    assert studio.recorder.files() == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["min-solar", "solar", "plan"])
def test_every_mode_comes_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """What modes remember is part of a recording that begins in the middle of things."""
    monkeypatch.setattr("charging_manager.twin.tape.SMALL", 1)
    monkeypatch.setattr("charging_manager.twin.tape.FULL_EVERY_S", 200.0)
    weather = "clear" if mode == "solar" else "broken"
    storage = {"capacity_kwh": 5, "power_kw": 3, "start_pct": 95}
    scenario = small(solar={"peak_kw": 14, "weather": weather}, storage=storage, tariff={"price": 0.3})
    goal = Goal(time(13, 0), energy_wh=8_000.0)
    groups = tuple(
        evolve(group, arrive=time(11, 0), leave=time(17, 0), goal=goal if mode == "plan" else None)
        for group in scenario.groups
    )
    points = {
        name: evolve(point, mode=Mode(mode), phases=(0, 1, 2)) for name, point in scenario.site.charge_points.items()
    }
    scenario = evolve(
        scenario,
        start=scenario.start.replace(month=6),
        groups=groups,
        site=evolve(scenario.site, charge_points=points),
    )
    studio = Studio(tmp_path)
    path = studio.record(scenario, 13 * 3600, exact=False)
    assert any(setpoint.current_a for plan in studio.plans for setpoint in plan.setpoints.values())
    compared = decide_again(path, read_recording(path).rules)
    assert compared.difference is None and compared.stretches > 20


def test_an_order_by_hand_is_recorded_at_once_at_a_large_site_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charging_manager.twin.tape.SMALL", 1)
    studio = Studio(tmp_path)
    studio.record(small(), 200)
    image, plan = studio.images[-1], studio.plans[-1]
    full = sum(1 for path in studio.recorder.files() for _ in full_cycles(path))
    assert full < 70
    studio.recorder.see(evolve(image, now_s=image.now_s + 1, overrides={"box-2": 8.0}, last_plan=plan), plan)
    studio.recorder.flush()
    cycles = [each for path in studio.recorder.files() for each in full_cycles(path)]
    assert len(cycles) == full + 1 and cycles[-1].image.overrides == {"box-2": 8.0}


def test_the_state_of_charge_of_a_battery_is_recorded_with_its_readings(tmp_path: Path) -> None:
    """Control goes by it: without it a recorded cycle would be decided otherwise."""
    studio = Studio(tmp_path)
    real = studio.recorder.see
    meter = Meter("store", "Store", "main", MeterRole.STORAGE, storage=StorageRole.ALL)

    def see(image: SiteImage, plan: Plan) -> None:
        site = evolve(image.site, meters={**image.site.meters, "store": meter})
        store = Reading("store", image.now_s - 0.5, (-1.0, -1.0, -1.0), power_w=-690.0, values={"soc_pct": 61.5})
        real(evolve(image, site=site, readings={**image.readings, "store": (store,)}), plan)

    studio.recorder.see = see  # type: ignore[method-assign]
    path = studio.record(small(), 30)
    told = [each.image.readings["store"][-1] for each in full_cycles(path)]
    assert len(told) > 20 and {soc_pct(reading) for reading in told} == {61.5}
    assert {reading.voltage_v for reading in told} == {(None, None, None)}
