"""The command line, from words to exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from charging_manager.cli import (
    audit,
    backup,
    check,
    demo,
    drivers,
    passwd,
    private,
    replay,
    run,
    scan,
    second_factor,
    simulate_site,
)
from charging_manager.cli.certificate import cloud_cert
from charging_manager.cli.table import DATA, Command, Option, WrongUsage, build_parser
from charging_manager.errors import ChargingManagerError
from charging_manager.storage.room import is_full

COMMANDS = (
    Command("run", "run the agent, or with -cloud_server the cloud server", lambda _: 2, usage=run.USAGE),
    Command(
        "cloud_cert",
        "put a certificate into the running cloud server",
        cloud_cert,
        (
            Option(("url",), "its address, as in https://localhost:4443", {"metavar": "URL"}),
            Option(("certificate",), "PEM file: the certificate, then its chain", {"metavar": "CERT.pem"}),
            Option(("key",), "PEM file: the private key, not encrypted", {"metavar": "KEY.pem"}),
            DATA,
        ),
    ),
    Command(
        "passwd",
        "set the admin password (asked for, or one line on stdin), or empty it",
        passwd.passwd,
        (
            DATA,
            Option(("--cloud",), "that of the cloud server's default state directory", {"action": "store_true"}),
            Option(("--empty",), "empty it: then no login through a cloud works", {"action": "store_true"}),
        ),
    ),
    Command(
        "demo",
        "a simulated site, its agent and a cloud server, until Ctrl-C",
        demo.demo,
        (
            Option(("--seed",), "chooses cars and house load (default 1)", {"type": int, "default": 1, "metavar": "N"}),
            Option(("--port",), "the agent's port (default 8080)", {"type": int, "default": 8080}),
            Option(("--cloud-port",), "the cloud server's port (default 4443)", {"type": int, "default": 4443}),
            Option(("--data",), "keep its state here (default: a folder that is removed)", {"metavar": "DIR"}),
        ),
    ),
    Command(
        "open",
        "a browser's private way to an installation in end-to-end mode, until Ctrl-C",
        private.open_private,
        (
            Option(("url",), "the cloud server, as in https://cloud.example:4443", {"metavar": "CLOUD-URL"}),
            Option(("cloud_id",), "the installation, as you name it", {"metavar": "CLOUD-ID"}),
            Option(("--code",), "its code, shown at the site; needed once", {"metavar": "CODE"}),
            Option(("--port",), "port on this machine (default: any free one)", {"type": int, "default": 0}),
        ),
    ),
    Command(
        "check",
        "is this configuration valid",
        check.check,
        (
            Option(("file",), "a settings file", {"nargs": "?", "metavar": "FILE"}),
            DATA,
        ),
    ),
    Command(
        "drivers",
        "list, check, begin, read or simulate drivers; the schema of their files",
        drivers.drivers,
        drivers.OPTIONS,
        usage=drivers.USAGE,
    ),
    Command(
        "backup",
        "all of an agent's or a cloud server's state in one file, while it runs",
        backup.backup,
        backup.BACKUP_OPTIONS,
    ),
    Command(
        "restore",
        "put a backup's state in place, with the daemon stopped; --check only looks",
        backup.restore,
        backup.RESTORE_OPTIONS,
    ),
    Command(
        "second-factor",
        "is the admin's second factor on; switch it off when it is lost",
        second_factor.second_factor,
        second_factor.OPTIONS,
        usage=second_factor.USAGE,
    ),
    Command(
        "audit",
        "is the cloud server's audit log as it was written",
        audit.audit,
        audit.OPTIONS,
        usage=audit.USAGE,
    ),
    Command(
        "scan",
        "look for devices in the own networks and on serial lines",
        scan.scan,
        scan.OPTIONS,
        usage=scan.USAGE,
    ),
    Command(
        "simulate",
        "a whole site on a virtual clock: cars, house, weather and the real controller",
        simulate_site.simulate_site,
        simulate_site.OPTIONS,
    ),
    Command(
        "replay",
        "a recorded day decided again, or under other limits",
        replay.replay,
        replay.OPTIONS,
    ),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 1: it could not be done; 2: wrong usage. No traceback for a person's mistake."""
    given = list(sys.argv[1:] if words is None else words)
    if given[:1] == ["run"]:
        return run.run(given[1:])
    arguments = build_parser(COMMANDS).parse_args(given)
    try:
        status: int = arguments.command.run(arguments)
        return status
    except WrongUsage as wrong:
        print(f"charging_manager {arguments.command.name}: {wrong}", file=sys.stderr)
        return 2
    except ChargingManagerError as error:
        print(f"charging_manager {arguments.command.name}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:
        if is_full(error):
            said = "the disk is full; make room and try again, nothing was changed"
        elif isinstance(error, PermissionError) and error.filename is not None:
            where = os.fsdecode(error.filename)
            said = f"{where}: this user may not ({error.strerror}); run this with sudo, or as the file's owner"
        else:
            raise
        print(f"charging_manager {arguments.command.name}: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
