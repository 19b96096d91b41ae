"""docs/tutorial-driver.md, done as it is written: every file is put where it says, every command shows what it says."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, free_port

pytestmark = pytest.mark.e2e

TUTORIAL = ROOT / "docs" / "tutorial-driver.md"
BLOCK = re.compile(r"^```(toml|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINKED = ("locale", "web", "docs", "scenarios", "setup.cfg", "pyproject.toml")


class Shell:
    """One bash in a copy of the checkout, so that ``&`` and ``kill %1`` are the reader's own."""

    def __init__(self, folder: Path) -> None:
        commands = folder / "bin"
        commands.mkdir()
        for name, words in (("charging_manager", "-m charging_manager"), ("python", "")):
            script = commands / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            script.chmod(0o755)
        environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
        environment.pop("PYTEST_CURRENT_TEST", None)
        self.process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, until: str | None = None) -> str:
        """What it showed. A command with ``&`` is waited for until it says that it is there."""
        assert self.process.stdin and self.process.stdout
        wait = "\nwhile ! grep -q ready began; do sleep 0.1; done; cat began\n" if until else "\n"
        told = command.replace("&", "> began 2>&1 &") if until else command
        self.process.stdin.write(f'set -m; {told}{wait}echo "<<done>>"\n')
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.strip() == "<<done>>":
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended in {command}: {''.join(lines)}")

    def end(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("kill $(jobs -p) 2>/dev/null; exit\n")
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.stdout.close()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "drivers", tmp_path / "drivers")
    ignored = shutil.ignore_patterns("__pycache__")  # the program finds drivers/ beside its own folder
    shutil.copytree(ROOT / "charging_manager", tmp_path / "charging_manager", ignore=ignored)
    left_out = shutil.ignore_patterns("__pycache__", "e2e", "scenarios")
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=left_out)
    return tmp_path


def pattern(shown: str) -> re.Pattern[str]:
    """``…`` stands for anything; a line of its own for any lines; runs of spaces for each other."""
    parts = []
    for line in shown.rstrip("\n").split("\n"):
        if line == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            words = [".*".join(map(re.escape, word.split("…"))) for word in line.split()]
            indent = re.match(" *", line)
            parts.append((indent[0] if indent else "") + r"\s*".join(words) + r"[ ]*\n")
    return re.compile("".join(parts))


def test_the_tutorial_can_be_followed_to_a_green_test(checkout: Path) -> None:
    port = str(free_port())
    shell = Shell(checkout)
    done: list[str] = []
    try:
        for kind, text in BLOCK.findall(TUTORIAL.read_text()):
            if kind == "toml":
                path = re.match(r"# (\S+)\n", text)
                assert path, f"the first line of a file says where it goes: {text[:60]}"
                (checkout / path[1]).write_text(text)
                continue
            for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                said = shell.run(command.replace("5020", port), "ready" if command.endswith("&") else None)
                if shown:
                    assert pattern(shown).fullmatch(said), f"$ {command}\n{said}\n--- the tutorial says:\n{shown}"
                done.append(command)
    finally:
        shell.end()
    assert sum("pytest" in command for command in done) == 2 and len(done) >= 14
    assert not list(checkout.glob("lumen-cube.toml"))
