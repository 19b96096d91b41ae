#!/usr/bin/env python3
"""Write the completions for bash, zsh and fish from the command line's own table: ``python docs/completions.py``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from charging_manager.cli.main import COMMANDS
from charging_manager.cli.run import USAGE as RUN_USAGE
from charging_manager.cli.table import Command, Option

FOLDER = Path(__file__).resolve().parent / "completion"
MADE = "# Made by docs/completions.py from the command line's own table."


@frozen
class Word:
    """An option (with dashes) or a place; what may stand there: ``choices``, or files or folders (``kind``)."""

    name: str
    help: str
    takes_value: bool
    kind: str = ""
    choices: tuple[str, ...] = ()

    @property
    def is_option(self) -> bool:
        return self.name.startswith("-")


def _kind(metavar: str) -> str:
    if metavar == "DIR":
        return "folder"
    return "file" if re.search(r"FILE|TTY|\.pem|\.toml", metavar) else ""


def _word(option: Option) -> Word:
    rest = option.rest
    flag = rest.get("action") == "store_true"
    return Word(
        option.names[0], option.help, not flag, _kind(rest.get("metavar", "")), tuple(map(str, rest.get("choices", ())))
    )


def words_of(command: Command) -> list[Word]:
    """Of one command, --help with it."""
    if command.name == "run":  # reads its own words
        found = re.findall(r"\[(--?[\w-]+)(?: ([A-Z]+))?\]", RUN_USAGE)
        words = [Word(name, "", bool(metavar), _kind(metavar)) for name, metavar in found]
    else:
        words = [_word(option) for option in command.options]
    return [*words, Word("--help", "what it does and what it takes", False)]


TABLE = {command.name: words_of(command) for command in COMMANDS}
SUMMARIES = {command.name: command.summary for command in COMMANDS}


def bash() -> str:
    values, options, places = [], [], []
    ask = {"folder": 'compgen -d -- "$cur"', "file": 'compgen -f -- "$cur"', "": ":"}
    for name, words in TABLE.items():
        for word in words:
            if word.is_option and word.takes_value:
                values.append(f"    {name}:{word.name}) mapfile -t COMPREPLY < <({ask[word.kind]}); return ;;")
        options.append(f"    {name}) words='{' '.join(word.name for word in words if word.is_option)}' ;;")
        here = [word for word in words if not word.is_option]
        choices = " ".join(choice for word in here for choice in word.choices)
        files = '; compgen -f -- "$cur"' if any(word.kind for word in here) else ""
        places.append(f"    {name}) mapfile -t COMPREPLY < <(compgen -W '{choices}' -- \"$cur\"{files}) ;;")
    return f"""# bash completion for charging_manager
{MADE}
_charging_manager() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '{" ".join(TABLE)} --help --version' -- "$cur")
    return
  fi
  case ${{COMP_WORDS[1]}}:$prev in
{chr(10).join(values)}
  esac
  if [[ $cur == -* ]]; then
    case ${{COMP_WORDS[1]}} in
{chr(10).join(options)}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    return
  fi
  case ${{COMP_WORDS[1]}} in
{chr(10).join(places)}
  esac
}}
complete -o filenames -F _charging_manager charging_manager
"""


def _quoted(text: str) -> str:
    return text.replace("'", "’").replace("[", "(").replace("]", ")").replace(":", "\\:")


def zsh() -> str:
    ask = {"folder": "_files -/", "file": "_files", "": " "}
    cases = []
    for name, words in TABLE.items():
        given = []
        for number, word in enumerate((word for word in words if not word.is_option), 1):
            what = f"({' '.join(word.choices)})" if word.choices else ask[word.kind]
            given.append(f"'{number}:{_quoted(word.help)}:{what}'")
        for word in (word for word in words if word.is_option):
            value = f":value:{ask[word.kind]}" if word.takes_value else ""
            given.append(f"'*{word.name}[{_quoted(word.help)}]{value}'")
        cases.append(f"    {name}) _arguments {' '.join(given)} ;;")
    commands = "\n".join(f"    '{name}:{_quoted(summary)}'" for name, summary in SUMMARIES.items())
    return f"""#compdef charging_manager
{MADE}
_charging_manager() {{
  local -a commands=(
{commands}
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{chr(10).join(cases)}
  esac
}}
_charging_manager "$@"
"""


def fish() -> str:
    lines = ["# fish completion for charging_manager", MADE, "complete -c charging_manager -f"]
    for name, summary in SUMMARIES.items():
        lines.append(f"complete -c charging_manager -n __fish_use_subcommand -a {name} -d '{_quoted(summary)}'")
    for name, words in TABLE.items():
        when = f"complete -c charging_manager -n '__fish_seen_subcommand_from {name}'"
        for word in words:
            said = f" -d '{_quoted(word.help)}'" if word.help else ""
            files = " -F" if word.kind else ""
            if word.is_option:
                dashes = "-l" if word.name.startswith("--") else "-o"
                value = f" -r{files}" if word.takes_value else ""
                lines.append(f"{when} {dashes} {word.name.lstrip('-')}{value}{said}")
            elif word.choices:
                lines.append(f"{when} -a '{' '.join(word.choices)}'{said}")
            elif files:
                lines.append(f"{when}{files}")
    return "\n".join(lines).replace("\\:", ":") + "\n"


def made() -> Mapping[str, str]:
    """The text of every file by its name."""
    return {"charging_manager.bash": bash(), "_charging_manager": zsh(), "charging_manager.fish": fish()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in made().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
