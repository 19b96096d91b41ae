"""Sentences for people, in French, German and English: one PO file per language for Python and the browser.

English stands in the code; ``{name}`` marks a field, in both. The browser fetches the same catalogue as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import isfinite

from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from charging_manager.paths import shared

LANGUAGES = ("en", "fr", "de")
_SAID_BY_THE_SERVER = ("charging_manager/storage/", "charging_manager/http/")
"""Rooms whose sentences reach people as answers of the API alone (``http/problems.py``)."""


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """English sentence to translated one; empty for English. Raises: ConfigError if the locale folder is missing."""
    if language == "en" or language not in LANGUAGES:
        return {}
    with (shared("locale") / f"{language}.po").open("rb") as file:
        messages = read_po(file, locale=language)
    return {str(m.id): str(m.string) for m in messages if m.id and m.string and not m.fuzzy}


@cache
def for_browsers(language: str) -> Mapping[str, str]:
    """The same without what is never said but in answers of the API, which the server says in the language itself."""
    if language == "en" or language not in LANGUAGES:
        return {}
    with (shared("locale") / f"{language}.po").open("rb") as file:
        messages = read_po(file, locale=language)
    whole = catalogue(language)
    return {
        str(m.id): whole[str(m.id)]
        for m in messages
        if str(m.id) in whole and not all(place.startswith(_SAID_BY_THE_SERVER) for place, _ in m.locations)
    }


def say(language: str, sentence: str, **fields: object) -> str:
    """The sentence in that language with its fields filled in. A sentence without translation stays English."""
    text = catalogue(language).get(sentence, sentence)
    return text.format_map({name: _shown(language, name, value) for name, value in fields.items()}) if fields else text


def digits_of(name: str) -> int:
    """How many decimals of a sentence's field people read: prices of a kWh have more than amperes."""
    return 4 if name == "price" else 2


def _shown(language: str, name: str, value: object) -> object:
    """Fractions have a comma in French and German, and no zeros at their end anywhere."""
    if not isinstance(value, float) or not isfinite(value):
        return value
    return format_decimal(round(value, digits_of(name)), format="0.####", locale=language, group_separator=False)


def best_language(accept: str | None, default: str = "en") -> str:
    """The language of ours that an ``Accept-Language`` header prefers (RFC 9110, section 12.5.4)."""
    wishes: list[tuple[float, int, str]] = []
    for position, part in enumerate((accept or "").split(",")[:20]):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        language = name.split("-")[0].lower()
        if language in LANGUAGES and weight > 0:
            wishes.append((-weight, position, language))
    return min(wishes)[2] if wishes else default
