"""The language that a browser prefers, among the three of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from charging_manager.words import best_language, catalogue, for_browsers, say

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("es,fr;q=0.7,en;q=0.3", "fr"),
        ("en;q=0.2,fr;q=0.9", "fr"),
        ("es,pt", "en"),
        ("de;q=0,fr", "fr"),
        ("de;q=nonsense,fr;q=0.1", "fr"),
        ("," * 10_000, "en"),
    ],
)
def test_the_preferred_language_of_ours_is_chosen(accept: str | None, language: str) -> None:
    assert best_language(accept) == language


@pytest.mark.parametrize(
    ("language", "value", "shown"),
    [("en", 60.0, "60"), ("de", 5.25, "5,25"), ("fr", 1234.5, "1234,5"), ("en", 0.126, "0.13"), ("de", 7, "7")],
)
def test_numbers_are_shown_as_the_language_writes_them(language: str, value: float, shown: str) -> None:
    assert say(language, "no such sentence {amps}", amps=value) == f"no such sentence {shown}"


def test_a_sentence_without_translation_stays_english_with_its_fields() -> None:
    assert say("fr", "no such sentence {amps}", amps=6) == "no such sentence 6"


def test_browsers_get_every_sentence_that_a_page_says_and_none_that_only_answers_say() -> None:
    whole, fetched = catalogue("de"), for_browsers("de")
    said = (ROOT / "web/common/backups.js").read_text("utf-8")
    assert "Make a backup now" in said and fetched["Make a backup now"] == whole["Make a backup now"]
    answered = "this is not the passphrase that it was encrypted with"
    assert answered in whole and answered not in fetched
    assert fetched["The weekly backup failed: {reason}."]
