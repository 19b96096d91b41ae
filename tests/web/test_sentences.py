"""French and German say everything that English says, with the same fields and in the contract's words."""

from __future__ import annotations

import re

import pytest

from charging_manager.words import catalogue, say
from tests.web.support import extract

LANGUAGE = pytest.mark.parametrize("language", ["fr", "de"])

# The words of the reference document, as the UI must show them.
WORDS = {
    "Cloud service": ("Service cloud", "Cloud-Dienst"),
    "Cloud server": ("Serveur cloud", "Cloud-Server"),
    "Cloud ID": ("ID cloud", "Cloud-ID"),
    "Installation password": ("Mot de passe des installations", "Anlagen-Passwort"),
    "Cloud user ID": ("ID utilisateur cloud", "Cloud-Benutzer-ID"),
    'Log in as "admin"': ("Se connecter en tant qu'« admin »", "Als „admin“ anmelden"),
    "Cloud server admin functions": ("Fonctions Admin du serveur cloud", "Cloud-Server-Admin-Funktionen"),
    "Add new installation": ("Ajouter une nouvelle installation", "Neue Anlage hinzufügen"),
    "Cloud Login": ("Cloud Login", "Cloud Login"),
}


@LANGUAGE
def test_every_sentence_is_translated_with_its_fields(language: str) -> None:
    found = extract().collect()
    assert len(found) > 300
    assert extract().wrong(found, language) == []


@LANGUAGE
def test_no_sentence_is_kept_that_nobody_says(language: str) -> None:
    assert set(catalogue(language)) <= set(extract().collect())


@pytest.mark.parametrize("english", WORDS)
def test_the_contracts_words_are_used(english: str) -> None:
    assert (say("fr", english), say("de", english)) == WORDS[english]
    assert english in extract().collect()


@LANGUAGE
def test_sentences_end_as_in_english(language: str) -> None:
    for english, translated in catalogue(language).items():
        assert (english[-1] in ".?") == (translated.rstrip()[-1] in ".?"), translated


def test_french_keeps_its_punctuation_on_the_line() -> None:
    loose = [text for text in catalogue("fr").values() if re.search(r" [:;?!](?:\s|$)", text)]
    assert loose == []


def test_german_addresses_people_formally() -> None:
    informal = re.compile(r"\b(?:du|dein|deine|deinen|deiner|dir|dich)\b")
    assert [text for text in catalogue("de").values() if informal.search(text)] == []
    tu = re.compile(r"\b(?:tu|ton|ta|tes|toi)\b")
    assert [text for text in catalogue("fr").values() if tu.search(text)] == []


def test_sentences_are_found_in_scripts_shells_and_python() -> None:
    script = 't("One {a}", { a }) + tn("{n} car", "{n} cars", 3) + format("no") + t("Long " +\n "sentence") + let("x")'
    assert [one for one, _line in extract().in_script(script)] == ["One {a}", "Long sentence", "{n} car", "{n} cars"]
    assert list(extract().in_shell("<p>\n{{t:Hello there.}}")) == [("Hello there.", 2)]
    python = (
        'raise Problem(422, "bad", "Not {this}.", "field", this=1)\n'
        'SENTENCES = {"a": "First.", "b": "Second."}\n'
        'say(language, "Said." if x else "Unsaid.")\n'
        'log.info("a log line")\n'
        'sentence = "Kept."\n'
        'def sentence_of(x):\n    return ("Returned.", {"code": "no"}) if x else ("Else.", {})\n'
    )
    assert {one for one, _line in extract().in_python(python)} == {
        "Not {this}.",
        "First.",
        "Second.",
        "Said.",
        "Kept.",
        "Returned.",
        "Else.",
        "Unsaid.",
    }


def test_other_fields_than_in_english_are_noticed() -> None:
    assert extract().fields_of("{a:.1f} of {b}") == {"a", "b"}
