"""``charging_manager replay``: a recorded day decided again, or under other limits."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from charging_manager.agent.api_shapes_rules import RulesBody, rules_of
from charging_manager.cli.aside import Aside
from charging_manager.cli.simulate_site import JSON, SET, SVG, check_writable, watch, write
from charging_manager.cli.table import Option, WrongUsage
from charging_manager.errors import ConfigError
from charging_manager.http.bodies import read_json, structure_body
from charging_manager.http.routes import Problem
from charging_manager.model.rule import Rule
from charging_manager.model.rulecheck import check_rules
from charging_manager.model.site import Site
from charging_manager.twin.again import decide_again
from charging_manager.twin.changes import change_each
from charging_manager.twin.compare import both
from charging_manager.twin.derive import HUNGRY_WH, SHORTEST_S, derive
from charging_manager.twin.picture import draw, side_by_side
from charging_manager.twin.recording import Recording, read_recording
from charging_manager.twin.report import Result, as_json, result_of, spell
from charging_manager.twin.whatif import replay as what_if

Outcome = tuple[Result, str]
"""Figures and picture of a run."""
MOST_RULES = 1_000_000
OPTIONS = (
    Option(("file",), "a recording, downloaded from the agent's system page", {"metavar": "FILE"}),
    SET,
    Option(
        ("--rules",), "rules in place of those that were recorded, as the rules page exports them", {"metavar": "FILE"}
    ),
    Option(
        ("--hungry-kwh",),
        f"what a car that left hungry is taken to want in all (default {HUNGRY_WH / 1000:g})",
        {"type": float, "default": HUNGRY_WH / 1000, "metavar": "KWH"},
    ),
    Option(("--every",), "seconds between two decisions while anything moves", {"type": int, "metavar": "S"}),
    SVG,
    JSON,
)


def replay(arguments: argparse.Namespace) -> int:
    """Without a change: decide again what was recorded in full; status 1 if it comes out otherwise. With one: before
    and after. Raises: ConfigError, WrongUsage."""
    if not 0 < arguments.hungry_kwh <= 1000:
        raise WrongUsage("--hungry-kwh must be a number above 0, at most 1000")
    if arguments.every is not None and not 1 <= arguments.every <= 10:
        raise WrongUsage("--every must be from 1 to 10 seconds")
    check_writable(arguments.svg, arguments.json)
    recording = read_recording(Path(arguments.file))
    _introduce(recording)
    site_of = _change(arguments, [site for _, site in recording.sites])
    status = 0
    if site_of is None:
        status = _again(recording)
        if recording.lasts_s < SHORTEST_S:
            return status
    derived = derive(recording, 1000.0 * arguments.hungry_kwh)

    def work(site_of: Callable[[Site], Site], title: str, what: str | None) -> Outcome:
        run = what_if(recording, derived, site_of, cycle_s=arguments.every)
        watch(run.course.run(), derived.seconds, what)
        result = result_of(run)
        picture = draw(run, result, f"{result.name}: {title}") if arguments.svg is not None else ""
        return result, picture

    if site_of is None:
        outcomes = [work(_as_it_was, "as it was", "replayed")]
    else:
        before = Aside(lambda: work(_as_it_was, "as it was", None))
        try:
            after = work(site_of, "as it would have been", "replayed")
            outcomes = [before.result(), after]
        finally:
            before.end()
    results = [result for result, _ in outcomes]
    print(both(results, derived.recorded_wh))
    if arguments.svg is not None:
        write(arguments.svg, side_by_side([picture for _, picture in outcomes]))
    if arguments.json is not None:
        told = dict(zip(("before", "after"), map(as_json, results), strict=False))
        write(arguments.json, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return status


def _as_it_was(site: Site) -> Site:
    return site


def _introduce(recording: Recording) -> None:
    begun = recording.times[0][1]
    print(
        f"{recording.path}: {spell(recording.lasts_s)} from {begun:%Y-%m-%d %H:%M}, {recording.size / 1e6:.1f} MB, "
        f"{len(recording.sites[-1][1].charge_points)} charge points, {recording.full} cycles in full"
    )
    if recording.trouble is not None:
        print(f"note: {recording.trouble}")


def _change(arguments: argparse.Namespace, sites: Sequence[Site]) -> Callable[[Site], Site] | None:
    if not arguments.changes and arguments.rules is None:
        return None
    rules = read_rules(Path(arguments.rules)) if arguments.rules is not None else None
    changed = change_each(sites, arguments.changes or ())
    return changed if rules is None else lambda site: changed(evolve(site, rules=rules))


def read_rules(path: Path) -> tuple[Rule, ...]:
    """Rules as the agent exports them. Raises: ConfigError."""
    try:
        data = path.read_bytes()
        if len(data) > MOST_RULES:
            raise ConfigError(str(path), "is larger than 1 MB; rules are a short JSON file")
        rules = rules_of(structure_body(read_json(data), RulesBody).rules)
        check_rules(rules)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror}); name a file of rules") from error
    except (ValueError, Problem, ConfigError) as error:
        raise ConfigError(str(path), f"holds no good rules ({error}); export them on the rules page") from error
    return rules


def _again(recording: Recording) -> int:
    if not recording.full:
        print("no cycle was recorded in full: nothing can be decided again to the last bit")
        return 0
    compared = decide_again(recording.path, recording.rules)
    difference = compared.difference
    if difference is None:
        print(f"decided again: {compared.cycles} cycles in {compared.stretches} stretches, all the same")
        return 0
    when = difference.at.isoformat(sep=" ", timespec="seconds") if difference.at else f"second {difference.now_s:.0f}"
    print(
        f"decided again: cycle {compared.cycles} differs, at {when}: {difference.charge_point} had "
        f"{difference.recorded}, and gets {difference.decided} now"
    )
    return 1
