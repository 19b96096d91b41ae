"""Ten thousand agents at one cloud server, with real TLS and SCRAM; the server is killed and begun anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

COUNT = 10_000
PROCESSES = 4

Figure = tuple[str, float, str, str, float]


def agents() -> list[Figure]:
    """Memory each, all back, the login page meanwhile, and how soon one agent tries again at the earliest."""
    from tests.support.storm import storm

    with tempfile.TemporaryDirectory() as folder:
        seen = storm(Path(folder), COUNT, PROCESSES, within_s=120)
    print(seen, flush=True)
    return [
        (f"agents-{COUNT}-memory", max(seen.kib_each, seen.kib_each_after), "KiB", "<=", 64),
        (f"agents-{COUNT}-back", seen.back_s, "s", "<=", 120),
        (f"agents-{COUNT}-login-page-p99", seen.page_p99_s, "s", "<=", 2),
        (f"agents-{COUNT}-login-page-failures", seen.page_failures, "", "<=", 0),
        (f"agents-{COUNT}-least-gap", seen.least_gap_s, "s", ">=", 2),
        (f"agents-{COUNT}-cpu", 1000 * seen.cpu_each_s, "ms/agent", "<=", 6),
    ]


FIGURES = {"agents": agents}
