"""``python -m charging_manager.sim SITE.toml``: a simulated site until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from charging_manager.clocks import use_monotonic
from charging_manager.devices.loader import load_drivers
from charging_manager.errors import ConfigError
from charging_manager.paths import driver_folders
from charging_manager.sim.control import open_control
from charging_manager.sim.plan import SitePlan, read_plan
from charging_manager.sim.site import SimulatedSite


def run_site(reactor: Any, plan: SitePlan, drivers: Sequence[Path], control_port: int | None) -> Deferred[None]:
    """Start the site, say where everything is on standard output, and run until the process is told to end.

    Raises: ConfigError for a plan, an address or a port that cannot work.
    """
    use_monotonic(reactor)
    site = SimulatedSite(plan, load_drivers(drivers).drivers, reactor)
    site.startService()
    for name, address in site.addresses.items():
        say(f"{name}: {address}")
    if control_port is not None:
        say(f"control: http://127.0.0.1:{open_control(site, reactor, control_port).getHost().port}/state")
    say("simulators ready")
    reactor.addSystemEventTrigger("before", "shutdown", site.stopService)
    ended: Deferred[None] = Deferred()
    reactor.addSystemEventTrigger("before", "shutdown", ended.callback, None)
    return ended


def say(line: str) -> None:
    """A line for scripts."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser("python -m charging_manager.sim", description="a simulated site, until Ctrl-C")
    parser.add_argument("site", type=Path, help="a TOML file; docs/simulators.md shows one")
    parser.add_argument(
        "--control", type=int, metavar="PORT", help="a loopback HTTP door for tests; 0 takes a free port"
    )
    parser.add_argument("--seed", type=int, help="another run of the same site")
    parser.add_argument("--drivers", type=Path, action="append", default=[], metavar="DIR", help="more drivers")
    options = parser.parse_args(arguments)
    try:
        plan = read_plan(options.site)
        if options.seed is not None:
            plan = attrs.evolve(plan, seed=options.seed)
        folders = driver_folders(options.drivers)
        react(lambda reactor: run_site(reactor, plan, folders, options.control), ())
    except ConfigError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
