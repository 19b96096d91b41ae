"""How many files the process may have open, connections included: as many as the machine lets it."""

from __future__ import annotations

import resource
from contextlib import suppress

_ENOUGH = 1_048_576


def allow_many_files() -> int:
    """Raise the soft limit, often 1,024, to the hard one; what holds from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
