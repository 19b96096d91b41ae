"""``charging_manager second-factor``: for whoever has lost phone and recovery codes, and can log in to the machine."""

from __future__ import annotations

import argparse

from twisted.internet.task import Clock

from charging_manager.cli.table import DATA, Option
from charging_manager.errors import ConfigError
from charging_manager.http.second_factor import SecondFactor
from charging_manager.paths import own_state_folder
from charging_manager.storage.restore import finish

USAGE = "charging_manager second-factor status|off [--data DIR | --cloud]"
OPTIONS = (
    Option(("what",), "status: is it on; off: switch it off", {"choices": ("status", "off"), "metavar": "status|off"}),
    DATA,
    Option(("--cloud",), "that of the cloud server's default state directory", {"action": "store_true"}),
)


def second_factor(arguments: argparse.Namespace) -> int:
    """A running daemon notices within a second, and writes it into its audit log. Raises: ConfigError."""
    data = own_state_folder(arguments.data, "cloud" if arguments.cloud else "agent")
    finish(data)
    if not data.is_dir():
        raise ConfigError(str(data), "there is no such state directory; name one with --data")
    factor = SecondFactor(data / "admin.totp", Clock())
    if arguments.what == "off":
        try:
            was_on = factor.remove()
        except OSError as error:
            raise ConfigError(str(data), f"cannot be changed ({error.strerror}); run this as its owner") from error
        print(f"The second factor in {data} is off now." if was_on else f"The second factor in {data} was off already.")
        return 0
    left = f"on; {factor.recovery_left} recovery codes are left" if factor.on else "off"
    print(f"The second factor in {data} is {left}.")
    return 0
