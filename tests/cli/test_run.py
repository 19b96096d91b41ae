"""``charging_manager run`` keeps the reference document's syntax: options in any order, with one dash or two."""

from __future__ import annotations

import itertools

import pytest

from charging_manager.cli.run import RunRequest, read_words, run
from charging_manager.cli.table import WrongUsage


def test_the_reference_documents_own_line_starts_the_cloud() -> None:
    assert read_words(["4443", "-cloud_server"]) == RunRequest(4443, True, ())


def test_without_cloud_server_it_is_the_agent() -> None:
    assert read_words(["8080"]).twistd_words() == ["twistd", "-n", "cm-agent", "--port", "8080"]


@pytest.mark.parametrize(
    "order", list(itertools.permutations([["4443"], ["-cloud_server"], ["-allow_http"], ["loglevel", "4"]]))
)
def test_options_stand_in_any_order(order: tuple[list[str], ...]) -> None:
    request = read_words([word for words in order for word in words])
    assert request.port == 4443
    assert request.cloud
    assert set(request.rest) == {"--allow-http", "--loglevel", "4"}


@pytest.mark.parametrize("spelling", ["-cloud_server", "--cloud_server", "--cloud-server", "-cloud-server"])
def test_one_dash_or_two_and_either_line_are_the_same(spelling: str) -> None:
    assert read_words([spelling, "4443"]).cloud


@pytest.mark.parametrize("spelling", [["loglevel", "2"], ["-loglevel", "2"], ["--loglevel", "2"], ["--loglevel=2"]])
def test_the_log_level_is_accepted_with_and_without_dashes(spelling: list[str]) -> None:
    assert read_words(["1", *spelling]).rest == ("--loglevel", "2")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name the port"),
        (["70000"], "0 to 65535"),
        (["http"], "0 to 65535"),
        (["1", "2"], "one word too many"),
        (["1", "-frobnicate"], "no option -frobnicate"),
        (["1", "loglevel"], "needs a value"),
        (["1", "loglevel", "5"], "4 (data)"),
        (["1", "--open-enrolment"], "cloud server"),
    ],
)
def test_wrong_usage_is_told_in_one_line_with_status_2(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WrongUsage, match=says.replace("(", r"\(").replace(")", r"\)")):
        read_words(words)
    assert run(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
