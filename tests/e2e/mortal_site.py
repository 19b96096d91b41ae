"""A simulated site that is killed again and again: ``python -m tests.e2e.mortal_site SITE.toml LIVES SEED``.

Each life is a fork of this process, so that it begins in milliseconds; it ends by SIGKILL: one in five at once, the
others at a random instant after somebody has connected, or after 6 s. Prints ``lives N, M of them visited`` now and
then, and ``stays`` when the last life, which is left alone, has begun. The ports of the plan must be fixed.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from charging_manager.sim.__main__ import main

LONGEST_S = 0.8
ALONE_S = 6.0
ESTABLISHED = "01"


def live(plan: str) -> int:
    """Begin a life. Returns: its pid."""
    pid = os.fork()
    if pid == 0:
        main([plan])
        os._exit(0)
    return pid


def bury(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def visited(ports: set[int]) -> bool:
    """Has somebody a connection to one of these ports?"""
    for line in Path("/proc/self/net/tcp").read_text("ascii").splitlines()[1:]:
        local, _, state = line.split()[1:4]
        if state == ESTABLISHED and int(local.rsplit(":", 1)[1], 16) in ports:
            return True
    return False


def run(plan: str, lives: int, seed: int) -> None:
    chance, pause = random.Random(seed), threading.Event()
    ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", Path(plan).read_text("utf-8"))}
    visits = 0
    now = [live(plan)]

    def end(number: int, frame: FrameType | None) -> None:
        bury(now[0])
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    for number in range(lives):
        if chance.random() > 0.2:
            until = time.monotonic() + ALONE_S
            while not visited(ports) and time.monotonic() < until:
                pause.wait(0.01)
            visits += visited(ports)
        pause.wait(chance.uniform(0.0, LONGEST_S))
        bury(now[0])
        now[0] = live(plan)
        if number % 10 == 9:
            print(f"lives {number + 1}, {visits} of them visited", flush=True)
    print("stays", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
