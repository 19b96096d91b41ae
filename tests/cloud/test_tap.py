"""What ``twistd cm-cloud`` understands."""

from pathlib import Path

import pytest

from charging_manager.cloud.tap import Options


def parsed(tmp_path: Path, *arguments: str) -> Options:
    options = Options()
    options.parseOptions(["--data", str(tmp_path), *arguments])
    return options


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    options = parsed(tmp_path)
    assert (options["port"], options["allow-http"], options["loglevel"], options["open-enrolment"]) == (
        4443,
        False,
        3,
        0,
    )


def test_the_settings_file_stands_under_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "charging-manager.toml").write_text("[cloud]\nport = 5000\nopen_enrolment = true\n")
    options = parsed(tmp_path, "--port", "6000")
    assert (options["port"], options["open-enrolment"]) == (6000, True)


@pytest.mark.parametrize(
    "arguments", [["--port", "many"], ["--loglevel", "5"], ["--nonsense"], ["extra"], ["--port", "70000"]]
)
def test_wrong_usage_costs_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(tmp_path, *arguments)
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
