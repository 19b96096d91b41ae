"""What another server has told is taken up; while the database does not answer, the next time will do."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.storage.database import StorageError


def quietly(work: Coroutine[Any, Any, Any], log: Logger, what: str) -> Deferred[Any]:
    """Do it. After trouble with the database everything is heard anew when it is back, so that is nothing to log."""

    def failed(failure: Failure) -> None:
        if failure.check(StorageError) is None:
            log.failure("{what} of another server could not be taken up", failure=failure, what=what)

    return Deferred.fromCoroutine(work).addErrback(failed)
