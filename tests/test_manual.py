"""Man pages and completions say what the programs' own tables say; nothing in them is broken."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from charging_manager.cli.main import COMMANDS
from tests.support.processes import ROOT

DOCS = ROOT / "docs"
PAGES = sorted((DOCS / "man").glob("*.[158]"))
COMPLETION = DOCS / "completion"


def needs(program: str, package: str) -> Any:
    missing = shutil.which(program) is None and "CM_LEAVE_OUT_NONE" not in os.environ
    return pytest.mark.skipif(missing, reason=f"{program} is missing: apt-get install {package}")


@pytest.mark.parametrize(("script", "folder"), [("man_pages.py", "man"), ("completions.py", "completion")])
def test_what_is_made_of_the_tables_is_current(script: str, folder: str) -> None:
    made = runpy.run_path(str(DOCS / script), run_name="made")["made"]()
    old = [file for file, text in made.items() if (DOCS / folder / file).read_text("utf-8") != text]
    assert old == [], f"run: python docs/{script}"


def test_all_pages_are_there() -> None:
    assert [page.name for page in PAGES] == [
        "charging-manager-drivers.5",
        "charging-manager.toml.5",
        "charging_manager.1",
        "cm-agent.8",
        "cm-cloud.8",
    ]


def test_every_command_and_option_is_in_the_manual() -> None:
    page = (DOCS / "man/charging_manager.1").read_text().replace("\\-", "-")
    for command in COMMANDS:
        assert f'.SS "{command.name}"' in page
        for option in command.options:
            assert option.names[0] in page or option.rest.get("metavar", "?") in page, (command.name, option.names)


@needs("man", "man-db")
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_man_has_nothing_to_warn_of(page: Path) -> None:
    assert_clean(page)


def assert_clean(page: Path) -> str:
    words = ["man", "--warnings", "-E", "UTF-8", "-l", "-P", "cat", str(page)]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@needs("po4a", "po4a")
def test_every_sentence_is_there_in_french_and_german(tmp_path: Path) -> None:
    shutil.copytree(DOCS / "man", tmp_path / "docs/man", ignore=shutil.ignore_patterns("fr", "de", "man.pot"))
    words = ["po4a", "--porefs", "none", "--package-name", "charging-manager", "--wrap-po", "newlines", "--keep", "100"]
    done = subprocess.run([*words, "docs/man/po4a.cfg"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    for language, title in (("fr", "NOM"), ("de", "BEISPIELE")):
        made = sorted((tmp_path / "docs/man" / language).glob("*"))
        assert len(made) == len(PAGES), f"docs/man/po/{language}.po lacks words\n{done.stdout}{done.stderr}"
        pages = [assert_clean(page) for page in made]
        assert any(title in page for page in pages)


def completed(*words: str) -> list[str]:
    script = (
        f'source {COMPLETION / "charging_manager.bash"}; COMP_WORDS=(charging_manager "$@"); COMP_CWORD=$#; '
        "_charging_manager; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("pas",), {"passwd"}),
        (("passwd", "--"), {"--data", "--cloud", "--empty", "--help"}),
        (("drivers", "sch"), {"schema"}),
        (("run", "-cloud"), {"-cloud_server"}),
        (("second-factor", "o"), {"off"}),
        (("passwd", "--data", "debia"), {"debian"}),
        (("backup", "setup.c"), {"setup.cfg"}),
        (("check", "--nothing-"), set()),
    ],
)
def test_bash_completes(words: tuple[str, ...], found: set[str]) -> None:
    assert set(completed(*words)) == found


def test_bash_completes_every_command() -> None:
    assert set(completed("")) == {*(command.name for command in COMMANDS), "--help", "--version"}


@needs("zsh", "zsh")
def test_zsh_finds_no_fault_and_offers_the_commands() -> None:
    subprocess.run(["zsh", "-n", COMPLETION / "_charging_manager"], check=True)
    script = (
        "_describe() { print -l ${(P)2} }; _arguments() { print -l $@ }; "
        'words=(charging_manager "$@"); CURRENT=${#words}; '
        f"source {COMPLETION / '_charging_manager'}"
    )
    said = subprocess.run(["zsh", "-fc", script, "zsh", ""], capture_output=True, text=True, check=True).stdout
    assert {line.split(":")[0] for line in said.splitlines()} == {command.name for command in COMMANDS}
    said = subprocess.run(
        ["zsh", "-fc", script, "zsh", "passwd", "--"], capture_output=True, text=True, check=True
    ).stdout
    assert "*--empty[" in said and "*--data[" in said and "_files -/" in said


@needs("fish", "fish")
def test_fish_completes() -> None:
    def offered(line: str) -> set[str]:
        script = f"source {COMPLETION / 'charging_manager.fish'}; complete -C'{line}'"
        done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
        return {each.split("\t")[0] for each in done.stdout.splitlines()}

    assert offered("charging_manager ") >= {command.name for command in COMMANDS}
    assert offered("charging_manager passwd --") == {"--data", "--cloud", "--empty", "--help"}
    assert offered("charging_manager drivers sch") == {"schema"}
