"""The whole server in one line of plain English, for ``systemctl status``."""

from __future__ import annotations

from collections.abc import Mapping

NO_PASSWORD = (
    "no admin password yet, so only this machine is served and no installation: charging_manager passwd --cloud"  # noqa: S105
)


def status_line(figures: Mapping[str, float], port: int, password_set: bool) -> str:
    """As in ``12 installations connected, 3 logins, port 4443``."""
    tunnels, logins = round(figures["tunnels"]), round(figures["logins"])
    line = (
        f"{tunnels} installation{'' if tunnels == 1 else 's'} connected, "
        f"{logins} login{'' if logins == 1 else 's'}, port {port}"
    )
    return line if password_set else f"{line}; {NO_PASSWORD}"
