"""The one style sheet is whole: a brace that is lost in a merge hides all that follows."""

from __future__ import annotations

import re
from pathlib import Path

SHEET = Path(__file__).parents[2] / "web" / "common" / "style.css"


def test_every_rule_is_closed_before_the_next_begins() -> None:
    depth = 0
    plain = re.sub(
        r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), SHEET.read_text(encoding="utf-8"), flags=re.S
    )
    for number, line in enumerate(plain.splitlines(), 1):
        if line and not line[0].isspace() and not line.startswith("}"):
            assert depth == 0, f"line {number} stands inside another rule: {line}"
        depth += line.count("{") - line.count("}")
    assert depth == 0
