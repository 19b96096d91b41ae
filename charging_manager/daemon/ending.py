"""How a daemon ends when it cannot go on: one sentence, a non-zero status, no traceback.

The sentence goes to stderr, to the log and, under systemd, into ``systemctl status``. Status 2: what the command line
or the settings file says cannot be meant, and another try would not change it. Status 1: everything else may heal.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.daemon.journal import marked
from charging_manager.daemon.lifesign import the_life
from charging_manager.errors import ConfigError

log = Logger()


def refuse(program: str, error: ConfigError) -> NoReturn:
    """For makeService, before the reactor runs."""
    sys.exit(complain(program, str(error), 1, error))


def complain(program: str, sentence: str, status: int, error: BaseException | None = None) -> int:
    """Say it where people look, and give ``status`` back."""
    the_life.failed(sentence, error)
    print(marked(1, f"{program}: {sentence}", sys.stderr), file=sys.stderr, flush=True)  # noqa: T201
    return status


def give_up(reactor: Any, program: str, sentence: str, error: BaseException | None = None) -> None:
    """Say why on stderr and in the log, stop everything in order, and end with status 1."""
    complain(program, sentence, 1, error)
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
            give_up(reactor, program, str(failure.value), failure.value)
            return
        log.failure("{program} could not start", failure=failure, program=program)
        give_up(reactor, program, f"could not start: {failure.value}; the log has the details", failure.value)

    return starting.addErrback(failed)
