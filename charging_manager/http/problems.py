"""Answers for what went wrong: ``application/problem+json`` (RFC 9457) with a stable code, in the caller's language."""

from __future__ import annotations

from http import HTTPStatus

import orjson

from charging_manager.errors import ConfigError
from charging_manager.http.routes import Answer, Problem
from charging_manager.words import say

PROBLEM = "application/problem+json"


def problem_answer(problem: Problem, language: str) -> Answer:
    """The problem as bytes; its sentence stays English where the language or the fields have no better one."""
    try:
        detail = say(language, problem.sentence, **problem.fields)
    except (ConfigError, KeyError, IndexError, ValueError):  # no catalogue installed, or a mistranslated field
        detail = str(problem)
    said: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": detail,
    }
    if problem.where is not None:
        said["field"] = problem.where
    allow = str(problem.fields["methods"]) if problem.status == 405 else None
    return Answer(orjson.dumps(said), status=problem.status, content_type=PROBLEM, allow=allow)


def from_config_error(error: ConfigError) -> Problem:
    """What a person entered cannot work: the field is the error's key path."""
    return Problem(422, "invalid-field", error.template, where=error.where or None, **error.fields)


def bug() -> Problem:
    """What the asker of a request is told that failed by our own mistake."""
    return Problem(500, "internal", "something went wrong inside; the log of the program tells what")
