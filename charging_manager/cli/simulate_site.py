"""``charging_manager simulate``: a whole site on a virtual clock, with cars, house, weather and the real controller."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve

from charging_manager.cli.table import Option, WrongUsage
from charging_manager.errors import ConfigError
from charging_manager.paths import shared
from charging_manager.twin.build import DAY_S, Run, build
from charging_manager.twin.changes import change
from charging_manager.twin.picture import draw
from charging_manager.twin.report import as_json, result_of, text
from charging_manager.twin.scenario import Scenario, read_scenario

MOST_DAYS = 400
SET = Option(
    ("--set",),
    "change the site, as in main.limit_a=63; may be given several times",
    {"action": "append", "default": [], "metavar": "PLACE.FIELD=VALUE", "dest": "changes"},
)
SVG = Option(("--svg",), "draw it into this file", {"metavar": "FILE"})
JSON = Option(("--json",), "write all figures into this file", {"metavar": "FILE"})
OPTIONS = (
    Option(("scenario",), "a scenario file, or the name of a shipped one", {"metavar": "SCENARIO.toml"}),
    Option(("--days",), "how long (default 7)", {"type": int, "default": 7, "metavar": "N"}),
    Option(
        ("--seed",), "chooses weather, house load and arrivals (default 1)", {"type": int, "default": 1, "metavar": "N"}
    ),
    SET,
    SVG,
    JSON,
    Option(("--every-second",), "decide in every second, also where nothing happens (slow)", {"action": "store_true"}),
)


def simulate_site(arguments: argparse.Namespace) -> int:
    """Run it, print the table, draw the picture. Raises: ConfigError, WrongUsage."""
    if not 1 <= arguments.days <= MOST_DAYS:
        raise WrongUsage(f"--days is {arguments.days}; it must be from 1 to {MOST_DAYS}")
    check_writable(arguments.svg, arguments.json)
    scenario = changed(read_scenario(find_scenario(arguments.scenario)), arguments.changes)
    run = build(scenario, arguments.days, arguments.seed, exact=arguments.every_second)
    watch(run.course.run(), arguments.days * DAY_S)
    finish(run, arguments.svg, arguments.json)
    return 0


def find_scenario(name: str) -> Path:
    """That file, or the shipped one of that name. Raises: ConfigError."""
    path = Path(name)
    if path.exists():
        return path
    shipped = shared("scenarios")
    for candidate in (shipped / name, shipped / f"{name}.toml"):
        if candidate.is_file() and candidate.parent == shipped:
            return candidate
    names = ", ".join(sorted(each.stem for each in shipped.glob("*.toml")))
    raise ConfigError(name, f"there is no such file; shipped scenarios are {names}")


def changed(scenario: Scenario, wishes: list[str]) -> Scenario:
    """The scenario with its site changed."""
    return evolve(scenario, site=change(scenario.site, wishes)) if wishes else scenario


def check_writable(*names: str | None) -> None:
    """Better now than after minutes of work. Raises: ConfigError."""
    for name in names:
        if name is not None and (Path(name).is_dir() or not Path(name).absolute().parent.is_dir()):
            raise ConfigError(name, "cannot be written; name a file in a folder that exists")


def watch(steps: Iterator[int], seconds: int, what: str | None = "simulated") -> None:
    """Go through a run; a terminal sees how far it is."""
    shown = what is not None and sys.stderr.isatty()
    gc.set_threshold(100_000, 50, 100)  # millions of small values without loops: looking for loops costs a fifth
    for second in steps:
        if shown:
            print(f"\r{what} {second / seconds:4.0%}", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)


def finish(run: Run, svg: str | None, figures: str | None) -> None:
    """Print and write what came of it. Raises: ConfigError."""
    result = result_of(run)
    print(text(result))
    if svg is not None:
        write(svg, draw(run, result))
    if figures is not None:
        write(figures, json.dumps(as_json(result), indent=1, ensure_ascii=False) + "\n")


def write(name: str, content: str) -> None:
    """Raises: ConfigError in one sentence."""
    try:
        Path(name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError(name, f"cannot be written ({error.strerror}); name another file") from error
