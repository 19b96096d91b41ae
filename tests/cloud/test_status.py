from __future__ import annotations

import pytest

from charging_manager.cloud.status import NO_PASSWORD, status_line


@pytest.mark.parametrize(
    ("tunnels", "logins", "line"),
    [
        (0, 0, "0 installations connected, 0 logins, port 4443"),
        (1, 1, "1 installation connected, 1 login, port 4443"),
        (12, 3, "12 installations connected, 3 logins, port 4443"),
    ],
)
def test_a_server_in_one_line(tunnels: int, logins: int, line: str) -> None:
    figures = {"tunnels": tunnels, "logins": logins, "spliced_connections": 7}
    assert status_line(figures, 4443, True) == line
    assert status_line(figures, 4443, False) == f"{line}; {NO_PASSWORD}"
