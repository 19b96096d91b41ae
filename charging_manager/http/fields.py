"""Validators for the fields of bodies; each says in one translatable sentence what the field must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import Attribute

Validator = Callable[[Any, "Attribute[Any]", Any], None]


class Unfit(ValueError):
    """A value that a field cannot take; ``sentence`` is English with ``{name}`` fields."""

    def __init__(self, sentence: str, **fields: object) -> None:
        super().__init__(sentence.format_map(fields))
        self.sentence = sentence
        self.fields = fields


ONE_FOR_ALL, COMPLAINT = "one_for_all", "complaint"


def complains(sentence: str) -> dict[str, Any]:
    """Metadata of a field: what is said of a value of the wrong type."""
    return {COMPLAINT: sentence}


def one_for_all(count: int, sentence: str) -> dict[str, Any]:
    """Metadata of a list's field: one number stands for ``count`` equal ones; ``sentence`` is said of anything else."""
    return {ONE_FOR_ALL: count, **complains(sentence)}


def between(low: float, high: float) -> Validator:
    """A number from ``low`` to ``high``, both included."""

    def check(_: Any, __: Attribute[Any], value: Any) -> None:
        if value is not None and not low <= value <= high:
            raise Unfit("must be a number from {low} to {high}", low=low, high=high)

    return check


def length(least: int, most: int) -> Validator:
    """A text or list that is neither too short nor too long."""

    def check(_: Any, __: Attribute[Any], value: Any) -> None:
        if value is None or least <= len(value) <= most:
            return
        if not isinstance(value, str):
            raise Unfit("must have from {least} to {most} entries", least=least, most=most)
        raise Unfit("must have from {least} to {most} characters", least=least, most=most)

    return check


def matching(pattern: str, sentence: str) -> Validator:
    """A text of a certain form; ``sentence`` tells a person which."""
    compiled = re.compile(pattern)

    def check(_: Any, __: Attribute[Any], value: Any) -> None:
        if value is not None and not compiled.fullmatch(value):
            raise Unfit(sentence)

    return check
