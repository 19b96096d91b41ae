"""What may be a Cloud ID, and what may be an installation's password; said so that the field is named."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from charging_manager.errors import ConfigError
from charging_manager.http.routes import Problem
from charging_manager.tunnel.identity import check_cloud_id, check_cloud_password, is_serial

_ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_CLEAR_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_UNGROUPED_SERIAL = re.compile(r"[0-9A-Za-z]{16}")


def check_new_installation(cloud_id: str, password: str) -> None:
    """Raises: Problem 422 that names the field."""
    try:
        check_cloud_id(cloud_id)
    except ConfigError as error:
        code = "cloud-id-is-serial" if is_serial(cloud_id) else "bad-cloud-id"
        raise Problem(422, code, error.sentence, "cloud_id") from error
    try:
        check_cloud_password(password)
    except ConfigError as error:
        raise Problem(422, "bad-password", error.sentence, "password") from error


def new_cloud_id() -> str:
    """A random one, of about 50 bits: nobody finds it by trying."""
    return "-".join(_letters(_ID_LETTERS, 5) for _ in range(2))


def new_cloud_password() -> str:
    """20 characters that are not mistaken for one another, about 116 bits."""
    return _letters(_CLEAR_LETTERS, 20)


def _letters(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))


def readings_of(typed: str) -> Iterator[str]:
    """The Cloud IDs that somebody may have meant: as typed, and a serial number typed without its hyphens."""
    typed = typed.strip()
    yield typed
    grouped = "-".join(typed[at : at + 4] for at in range(0, 16, 4))
    if _UNGROUPED_SERIAL.fullmatch(typed) and is_serial(grouped):
        yield grouped
