"""For tests whose Deferreds have all fired already."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def result_of(work: Coroutine[Any, Any, T] | Deferred[T]) -> T:
    """The result, which must be there now. Raises what the work raised."""
    waiting = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    found: list[Any] = []
    waiting.addBoth(found.append)
    assert found, "this waits for something that has not happened"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]  # type: ignore[no-any-return]
