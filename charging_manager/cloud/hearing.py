"""What another server has told is taken up; and what is said while the database does not answer."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.http.routes import Problem
from charging_manager.storage.database import StorageError


def database_offline() -> Problem:
    """For whoever asked for something that needs the database."""
    return Problem(
        503,
        "database-offline",
        "The server's database does not answer right now. Try again in a minute: the server goes on by itself.",
    )


def quietly(work: Coroutine[Any, Any, Any], log: Logger, what: str) -> Deferred[Any]:
    """Do it. After trouble with the database everything is heard anew when it is back, so that is nothing to log."""

    def failed(failure: Failure) -> None:
        if failure.check(StorageError) is None:
            log.failure("{what} of another server could not be taken up", failure=failure, what=what)

    return Deferred.fromCoroutine(work).addErrback(failed)
