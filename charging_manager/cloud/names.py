"""What may be a Cloud ID, and what may be an installation's password."""

from __future__ import annotations

import re

from charging_manager.http.routes import Problem

_CLOUD_ID = re.compile(r"[A-Za-z0-9._-]{3,64}")
# 80 bits in Crockford's base32, grouped or not.
_SERIAL = re.compile(r"(?:[0-9A-HJKMNP-TV-Z]{4}-?){3}[0-9A-HJKMNP-TV-Z]{4}", re.IGNORECASE)
_PASSWORD_LENGTHS = range(12, 129)


def has_serial_form(cloud_id: str) -> bool:
    """Could this be the serial number of some installation? Such names belong to their keys alone."""
    return _SERIAL.fullmatch(cloud_id) is not None


def is_cloud_id(text: str) -> bool:
    """Could an installation, added or enrolled, be called so at all?"""
    return _CLOUD_ID.fullmatch(text) is not None


def check_new_cloud_id(cloud_id: str) -> None:
    """Raises: Problem 422 that names the field."""
    if not is_cloud_id(cloud_id):
        raise Problem(
            422, "bad-cloud-id", "A Cloud ID has 3 to 64 letters, digits, dots, underscores or hyphens.", "cloud_id"
        )
    if has_serial_form(cloud_id):
        raise Problem(
            422, "cloud-id-is-serial", "This Cloud ID looks like a serial number. Choose another one.", "cloud_id"
        )


def check_new_password(password: str) -> None:
    """Raises: Problem 422 that names the field."""
    if len(password) not in _PASSWORD_LENGTHS:
        raise Problem(422, "bad-password-length", "An installation password has 12 to 128 characters.", "password")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in password):
        raise Problem(422, "bad-password", "An installation password has no control characters.", "password")
