"""Serial lines before they are searched: whether they exist, are lines at all, and are free."""

from __future__ import annotations

import errno
import fcntl
import os
import termios

from charging_manager.errors import ConfigError

_NOTHING_THERE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOTDIR)


def check_line(device: str) -> None:
    """Raises: ConfigError if this serial device cannot be searched now."""
    try:
        opened = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            raise ConfigError(
                "lines", "There is no serial device {device}; is the adapter plugged in?", device=device
            ) from error
        raise ConfigError(
            "lines", "{device} cannot be opened: {reason}.", device=device, reason=os.strerror(error.errno or 0)
        ) from error
    try:
        termios.tcgetattr(opened)
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except termios.error as error:
        raise ConfigError("lines", "{device} is no serial device.", device=device) from error
    except BlockingIOError as error:
        raise ConfigError(
            "lines", "{device} is in use by another program, which must let go of it first.", device=device
        ) from error
    finally:
        os.close(opened)
