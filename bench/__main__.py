"""``make bench``: one line a figure; ``make bench ONLY=name`` runs one measurement (or one module's)."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback

import bench

HOLDS = {"<=": lambda value, goal: value <= goal, ">=": lambda value, goal: value >= goal}


def main(only: str | None) -> int:
    known = []
    for module in sorted(pkgutil.iter_modules(bench.__path__), key=lambda found: found.name):
        if module.name.startswith("_"):
            continue
        figures = getattr(importlib.import_module(f"bench.{module.name}"), "FIGURES", {})
        for name, measure in figures.items():
            known.append(name)
            if only and only not in (name, module.name):
                continue
            try:
                for figure, value, unit, op, goal in measure():
                    verdict = "ok" if HOLDS[op](value, goal) else "short"
                    print(f"bench: {figure} {value:.4g} {unit} goal {op}{goal:g} {verdict}", flush=True)
            except Exception:
                traceback.print_exc()
                print(f"bench: {name} failed; the reason is above", file=sys.stderr, flush=True)
    if only and only not in known and not any(only == m.name for m in pkgutil.iter_modules(bench.__path__)):
        print(f"there is no measurement {only!r}; known are {', '.join(known)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
