"""docs/tunnel.md names everything that is on the wire."""

from __future__ import annotations

import inspect
from pathlib import Path

from twisted.protocols import amp

from charging_manager.tunnel import commands
from charging_manager.tunnel.reasons import SENTENCES

PAGE = (Path(__file__).resolve().parents[2] / "docs/tunnel.md").read_text()


def all_commands() -> list[type[amp.Command]]:
    found = [c for _, c in inspect.getmembers(commands, inspect.isclass) if issubclass(c, amp.Command)]
    return [c for c in found if c is not amp.Command]


def test_every_command_and_every_field_of_it_is_on_the_page() -> None:
    assert len(all_commands()) >= 11
    for command in all_commands():
        assert f"`{command.commandName.decode()}`" in PAGE, command
        for name, _ in [*command.arguments, *command.response]:
            assert f"`{name.decode()}`" in PAGE, (command, name)


def test_every_code_is_on_the_page_with_its_sentence() -> None:
    for code, sentence in SENTENCES.items():
        assert f"| `{code}` | {sentence} |" in PAGE


def test_every_command_refuses_in_the_one_way() -> None:
    for command in all_commands():
        if command.requiresAnswer:
            assert list(command.errors.values()) == [b"REFUSED"], command
