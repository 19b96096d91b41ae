#!/usr/bin/python3
"""Runs a command while both daemons run as their units say: user, environment, directories, ExecStart; then stops them.

    started.py COMMAND [ARGUMENT ...]

For a chroot, in which no systemd runs; needs Debian's Python alone. Ends with the command's status, or 1 if a daemon
does not start or does not stop cleanly.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PORTS = {"charging-manager": 8080, "charging-manager-cloud": 4443}
CLEAN = (0, -signal.SIGTERM)


def unit(name):
    """A unit's settings; the last of a key counts, but all of Environment=."""
    found = {}
    for line in Path(f"/lib/systemd/system/{name}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = f"{found.get(key, '')} {value}" if key == "Environment" else value
    return found


def start(name):
    told = unit(name)
    folders = {}
    for kind, place in (("State", "/var/lib"), ("Runtime", "/run")):
        folder = folders[f"{kind.upper()}_DIRECTORY"] = f"{place}/{told[f'{kind}Directory']}"
        owner = ("-o", told["User"], "-g", told["Group"])
        subprocess.run(["install", "-d", "-m", told[f"{kind}DirectoryMode"], *owner, folder], check=True)
    environment = dict(word.split("=", 1) for word in shlex.split(told["Environment"]))
    as_user = ["setpriv", "--reuid", told["User"], "--regid", told["Group"], "--init-groups", "--no-new-privs"]
    return subprocess.Popen(
        [*as_user, *shlex.split(told["ExecStart"])],
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **folders, **environment},
        cwd=told["WorkingDirectory"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        umask=int(told["UMask"], 8),
    )


def listens(port):
    try:
        socket.create_connection(("localhost", port), 1).close()
    except OSError:
        return False
    return True


def main():
    os.dup2(2, 1)
    daemons = {name: start(name) for name in PORTS}
    pause, deadline = threading.Event(), time.monotonic() + 60
    for name, port in PORTS.items():
        while not listens(port) and daemons[name].poll() is None and time.monotonic() < deadline:
            pause.wait(0.1)
    status = subprocess.run(sys.argv[1:], check=False).returncode
    for name, daemon in daemons.items():
        daemon.terminate()
        ended = daemon.wait(60)
        print(f"{name} ended with {ended}", flush=True)
        status = status or (0 if ended in CLEAN else 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
