"""What of an agent's answer reaches a browser."""

import pytest

from charging_manager.cloud.sieve import sift
from charging_manager.http.routes import Answer, Problem, Stream


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/problem+json",
        "text/csv; charset=utf-8",
        "text/csv; charset=utf-8; header=present",
        "application/pdf",
        "text/event-stream",
    ],
)
def test_data_passes(kind: str) -> None:
    assert sift(Answer(b"{}", 200, kind)) == Answer(b"{}", 200, kind)


@pytest.mark.parametrize(
    "kind",
    [
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "image/svg+xml",
        "text/javascript",
        "application/xhtml+xml",
        "multipart/x-mixed-replace",
        "",
        "application/json\r\nSet-Cookie: a=b",
        "application/json; charset=utf-7",
        "text/csv, text/html",
        "application/json\r\n\r\n",
        "application/json;\r\n charset=utf-8",
        "application/json\x0b",
        "\u2003application/json",
    ],
)
def test_markup_scripts_and_what_nobody_declared_do_not_pass(kind: str) -> None:
    with pytest.raises(Problem) as caught:
        sift(Answer(b"<script>", 200, kind))
    assert (caught.value.status, caught.value.code) == (502, "agent-answer-refused")


@pytest.mark.parametrize(
    "status", [100, 101, 199, 205, 299, 300, 301, 302, 303, 304, 307, 308, 444, 499, 599, 600, 0, -1]
)
def test_redirects_and_odd_statuses_do_not_pass(status: int) -> None:
    with pytest.raises(Problem):
        sift(Answer(b"", status, "application/json"))


def test_an_agent_sets_no_cookie_and_ends_no_cookie() -> None:
    sifted = sift(Answer(b"{}", login="stolen", logout=True))
    assert isinstance(sifted, Answer)
    assert sifted.login is None
    assert sifted.logout is False


def test_a_file_name_of_an_agent_stays_a_file_name() -> None:
    assert sift(Answer(b"a", 200, "text/csv", '../../x";\r\nevil: 1')).filename == "_.._x____evil_ 1"
    assert sift(Answer(b"a", 200, "text/csv", "sessions 2026-01.csv")).filename == "sessions 2026-01.csv"
    assert sift(Answer(b"a", 200, "text/csv", "..")).filename == "download"


def test_a_stream_is_judged_by_the_same_rules() -> None:
    def start(sink: object) -> object:
        raise AssertionError("not started here")

    assert sift(Stream(start)).content_type == "text/event-stream"  # type: ignore[arg-type]
    with pytest.raises(Problem):
        sift(Stream(start, "text/html"))  # type: ignore[arg-type]
