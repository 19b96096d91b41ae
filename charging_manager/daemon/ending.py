"""How a daemon ends: once, in order; when it cannot go on, with one sentence, a non-zero status and no traceback.

The sentence goes to stderr, to the log and, under systemd, into ``systemctl status``. Status 2: what the command line
or the settings file says cannot be meant, and another try would not change it. Status 1: everything else may heal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger, LoggingFile
from twisted.python.failure import Failure

from charging_manager.daemon.journal import goes_to_journal, marked
from charging_manager.daemon.lifesign import the_life
from charging_manager.errors import ConfigError

log = Logger()
T = TypeVar("T")

LAST_ANSWER_S = 0.5
"""So long whoever asked for it has time to hear that it begins."""


def made(program: str, make: Callable[[], T]) -> T:
    """For makeService, before the reactor runs: what ``make`` gives, or the end in one sentence.

    A bug's traceback follows the sentence.
    """
    try:
        return make()
    except ConfigError as error:
        sys.exit(complain(program, str(error), 1, error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(complain(program, f"{where}{error.strerror}; check who owns it, and the disk", 1, error))
    except Exception as error:
        complain(program, f"could not start: {error}; the traceback has the details", 1, error)
        raise


def ends_once(reactor: Any) -> None:
    """From now on whoever asks again to stop, by a signal or in the program, hears that it stops already.

    Twisted takes a second time for a mistake, with a traceback in the log; its signals' handlers look ``stop`` up here.
    """
    really_stop = reactor.stop

    def stop() -> None:
        try:
            really_stop()
        except ReactorNotRunning:
            log.info("asked again to stop: it is stopping already")

    reactor.stop = stop


def complain(program: str, sentence: str, status: int, error: BaseException | None = None) -> int:
    """Say it where people look, and give ``status`` back."""
    the_life.failed(sentence, error)
    out = _stderr()
    print(marked(1, f"{program}: {sentence}", out), file=out, flush=True)
    return status


def _stderr() -> TextIO:
    """The real one: while the reactor runs, Twisted has its own in place of ``sys.stderr``, which writes to the log."""
    real = sys.__stderr__
    return real if isinstance(sys.stderr, LoggingFile) and real is not None else sys.stderr


def give_up(reactor: Any, program: str, sentence: str, error: BaseException | None = None) -> None:
    """Say why on stderr and in the log, stop everything in order, and end with status 1."""
    complain(program, sentence, 1, error)
    if not goes_to_journal(_stderr()):  # there it would stand twice
        log.error("{program} stops: {sentence}", program=program, sentence=sentence)

    def end() -> None:
        sys.stdout.flush()
        os._exit(1)  # twistd itself knows no other status than 0 here

    reactor.addSystemEventTrigger("after", "shutdown", end)
    reactor.callWhenRunning(reactor.stop)


def begin_anew(reactor: Any, pid_file: str | None = None) -> None:
    """Stop everything in order, and start the same program again in this process; systemd does that by itself."""

    def again() -> None:
        log.info("begins anew")
        sys.stdout.flush()
        if pid_file:
            Path(pid_file).unlink(missing_ok=True)  # it names this very process, which twistd would take for another
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606

    if not {"NOTIFY_SOCKET", "LISTEN_FDS"} & os.environ.keys():
        reactor.addSystemEventTrigger("after", "shutdown", again)
    reactor.callLater(LAST_ANSWER_S, reactor.stop)


def or_give_up(starting: Deferred[Any], reactor: Any, program: str) -> Deferred[Any]:
    """When a daemon's start fails: a ConfigError in one sentence, anything else with its traceback in the log."""

    def failed(failure: Failure) -> None:
        if failure.check(ConfigError):
            give_up(reactor, program, str(failure.value), failure.value)
            return
        log.failure("{program} could not start", failure=failure, program=program)
        give_up(reactor, program, f"could not start: {failure.value}; the log has the details", failure.value)

    return starting.addErrback(failed)
