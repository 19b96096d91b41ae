#!/usr/bin/env python3
"""Write the schema of driver files, with what docs/drivers.md says of every word: ``python docs/driver_schema.py``."""

from __future__ import annotations

import json
from pathlib import Path

from charging_manager.devices import vocabulary

HERE = Path(__file__).resolve().parent


def made() -> str:
    """The text of the file."""
    schema = vocabulary.vocabulary((HERE / "drivers.md").read_text(encoding="utf-8"))
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(vocabulary.__file__).with_name(vocabulary.SHIPPED).write_text(made(), encoding="utf-8")
