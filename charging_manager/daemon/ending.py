"""How a daemon ends when it cannot go on: one sentence, a non-zero status, no traceback."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.errors import ConfigError

log = Logger()


def refuse(program: str, error: ConfigError) -> NoReturn:
    """For makeService, before the reactor runs."""
    raise SystemExit(f"{program}: {error}")


def give_up(reactor: Any, program: str, sentence: str) -> None:
    """Say why on stderr and in the log, stop everything in order, and end with status 1."""
    print(f"{program}: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
    log.error("{program} stops: {sentence}", program=program, sentence=sentence)

    def end() -> None:
        sys.stdout.flush()
        os._exit(1)  # twistd itself knows no other status than 0 here

    reactor.addSystemEventTrigger("after", "shutdown", end)
    reactor.callWhenRunning(reactor.stop)


def or_give_up(starting: Deferred[Any], reactor: Any, program: str) -> Deferred[Any]:
    """When a daemon's start fails: a ConfigError in one sentence, anything else with its traceback in the log."""

    def failed(failure: Failure) -> None:
        if failure.check(ConfigError):
            give_up(reactor, program, str(failure.value))
            return
        log.failure("{program} could not start", failure=failure, program=program)
        give_up(reactor, program, f"could not start: {failure.value}; the log has the details")

    return starting.addErrback(failed)
