"""What systemd's journal makes of a line: with ``<3>`` before it, it is an error (sd-daemon(3))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

PRIORITY = {1: "<3>", 2: "<4>", 3: "<6>", 4: "<7>"}
"""Log level (1 errors … 4 data) to syslog's err, warning, info, debug."""


def goes_to_journal(stream: Any, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether that very stream is the journal's: a terminal or a file inside a service is not."""
    device, colon, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    if not colon or stream is None:
        return False
    with contextlib.suppress(OSError, ValueError, AttributeError):
        found = os.fstat(stream.fileno())
        return (device, inode) == (str(found.st_dev), str(found.st_ino))
    return False


def marked(level: int, text: str, stream: Any) -> str:
    """One line for stderr or stdout, with its priority if the journal reads it."""
    return f"{PRIORITY[level]}{text}" if goes_to_journal(stream) else text
