"""What of an agent's answer may reach a browser: data, never markup, scripts, cookies or redirects."""

from __future__ import annotations

import re
from http import HTTPStatus

from attrs import evolve

from charging_manager.http.routes import Answer, Problem, Stream

_PASSING = frozenset(
    {"application/json", "application/problem+json", "text/csv", "application/pdf", "text/event-stream"}
)
_PARAMETERS = re.compile(r"(?: *; *(?:charset=utf-8|header=(?:present|absent)))*", re.IGNORECASE)
_STATUSES = frozenset(status for status in map(int, HTTPStatus) if 200 <= status <= 299 or status >= 400) - {205}
"""Not 205, which has no body and still wants one to be told; nor numbers without a name in the registry."""
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._ -]")


def sift(answer: Answer | Stream) -> Answer | Stream:
    """The answer as it may go out. Raises: Problem 502 if nothing of it may.

    An agent is a stranger to the browser of another site's owner, and whoever holds one may let it say anything.
    """
    kind, separator, parameters = answer.content_type.partition(";")
    if kind.strip(" ").lower() not in _PASSING or not _PARAMETERS.fullmatch(separator + parameters):
        raise _refused()
    if answer.status not in _STATUSES:
        raise _refused()
    filename = answer.filename
    if filename is not None:
        filename = _UNSAFE_IN_NAMES.sub("_", filename)[:100].lstrip(".") or "download"
    if isinstance(answer, Stream):
        return evolve(answer, filename=filename)
    if answer.body is not None and not isinstance(answer.body, bytes):
        raise _refused()  # what came through the tunnel are bytes
    return Answer(answer.body, answer.status, answer.content_type, filename)


def _refused() -> Problem:
    return Problem(502, "agent-answer-refused", "The installation answered with something that may not be shown here.")
