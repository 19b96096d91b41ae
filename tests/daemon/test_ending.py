"""A daemon stops once, in order, however often and by whomever it is asked to."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASKED = {
    "by SIGTERM": "os.kill(os.getpid(), signal.SIGTERM), os.kill(os.getpid(), signal.SIGTERM)",
    "by SIGINT, then by itself": "os.kill(os.getpid(), signal.SIGINT), give_up(reactor, 'x', 'no more')",
    "by itself": "give_up(reactor, 'x', 'no more')",
}
DAEMON = """
import os, signal, sys
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import globalLogBeginner, textFileLogObserver
from charging_manager.daemon.ending import ends_once, give_up

globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)

def while_it_stops():
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    return deferLater(reactor, 0, print, "stopped in order")

ends_once(reactor)
reactor.addSystemEventTrigger("before", "shutdown", while_it_stops)
reactor.callWhenRunning(lambda: (ASKED))
reactor.run()
"""


@pytest.mark.parametrize("way", ASKED)
def test_asked_again_it_says_that_it_stops_and_stops(way: str) -> None:
    words = [sys.executable, "-c", DAEMON.replace("ASKED", ASKED[way])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert said.count("stopped in order") == 1 and "Traceback" not in said, said
    assert said.count("it is stopping already") >= 2, said
    assert done.returncode == ("by itself" in way)
