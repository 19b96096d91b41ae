"""A soft limit of 1,024 files would end at the thousandth agent."""

from __future__ import annotations

import subprocess
import sys

from tests.support.processes import ROOT

ASK = """
import resource
from charging_manager.daemon.files import allow_many_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))
print(allow_many_files(), *resource.getrlimit(resource.RLIMIT_NOFILE), allow_many_files())
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    said = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, cwd=ROOT, check=True)
    assert said.stdout.split() == ["512", "512", "512", "512"]
