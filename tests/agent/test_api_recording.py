"""The recording over the API: switched, measured and downloaded, by an admin alone."""

from __future__ import annotations

from pathlib import Path

from charging_manager.http.routes import Stream
from charging_manager.model.reading import Status
from charging_manager.twin.again import decide_again
from charging_manager.twin.recording import read_recording
from tests.agent.values import box, house, meter
from tests.agent.whole import Make

PLUGGED = {"garage": {"status": Status.PLUGGED, "current_a": (0.0, 0.0, 0.0)}, "grid": {"current_a": (1.0, 2.0, 3.0)}}


class Plate:
    """A reader that takes a few pieces and then wants a rest."""

    def __init__(self) -> None:
        self.data = b""
        self.over = False
        self.hungry = True

    def write(self, data: bytes) -> bool:
        self.data += data
        return self.hungry

    def finish(self) -> None:
        self.over = True


def test_a_day_is_downloaded_and_decided_again(agents: Make, tmp_path: Path) -> None:
    agent = agents(house(box("garage"), meter("grid")), PLUGGED)
    agent.run(90)
    agent.json("PUT", "charge-points/garage/override", {"current_a": 10})
    agent.run(60)
    answer = agent.ask("GET", "recording")
    assert isinstance(answer, Stream) and answer.filename is not None and answer.filename.endswith(".cmrec")
    plate = Plate()
    plate.hungry = False
    source = answer.start(plate)
    agent.clock.advance(0)
    begun = len(plate.data)
    agent.run(5)
    assert len(plate.data) == begun and not plate.over
    plate.hungry = True
    source.resumed()
    agent.run(3)
    assert plate.over
    path = tmp_path / "day.cmrec"
    path.write_bytes(plate.data)
    found = read_recording(path)
    assert found.full >= 140 and found.trouble is None
    assert found.overrides[-1][1] == {"garage": 10}
    compared = decide_again(path, found.rules)
    assert compared.difference is None and compared.cycles == found.full


def test_a_reader_that_goes_away_is_forgotten(agents: Make) -> None:
    agent = agents(house(box("garage"), meter("grid")), PLUGGED)
    agent.run(20)
    answer = agent.ask("GET", "recording")
    assert isinstance(answer, Stream)
    plate = Plate()
    source = answer.start(plate)
    source.stopped()
    agent.run(3)
    assert plate.data == b"" and not plate.over


def test_recording_is_switched_off_and_nothing_is_kept(agents: Make) -> None:
    agent = agents(house(box("garage"), meter("grid")), PLUGGED)
    agent.run(20)
    told = agent.json("GET", "config/recording")
    assert told["enabled"] and told["files"] == 1 and told["bytes"] > 100 and told["days"] == 2
    assert agent.json("PUT", "config/recording", {"enabled": False})["enabled"] is False
    agent.run(3)
    assert agent.json("GET", "config/recording")["files"] == 0
    assert agent.refused("GET", "recording") == (404, "nothing-recorded", None)
    agent.json("PUT", "config/recording", {"enabled": True, "days": 3})
    agent.run(15)
    assert agent.json("GET", "config/recording")["files"] == 1


def test_absurd_sizes_are_refused_by_field(agents: Make) -> None:
    agent = agents(house(box("garage"), meter("grid")), PLUGGED)
    for field, value in (("days", 0), ("days", 1000), ("mib", 0), ("mib", 10**9)):
        assert agent.refused("PUT", "config/recording", {field: value}) == (422, "invalid-field", field)


def test_a_full_disk_is_an_alarm_and_control_goes_on(agents: Make) -> None:
    agent = agents(house(box("garage"), meter("grid")), PLUGGED)
    agent.run(5)
    recorder = agent.site.recorder
    assert recorder is not None

    def full(lines: list[bytes]) -> None:
        raise OSError(28, "No space left on device")

    recorder._write = full  # type: ignore[method-assign]
    before = agent.site.steering.number
    agent.run(20)
    assert agent.site.steering.number == before + 20
    alarms = agent.json("GET", "state")["alarms"]
    assert "recording-failed" in {alarm["code"] for alarm in alarms}
