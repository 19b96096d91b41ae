"""Names of hosts, as people enter them and as the DNS has them."""

from __future__ import annotations

import re

from charging_manager.errors import ConfigError

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST = 220
"""253, less what is put in front."""


def normal_domain(text: str, where: str = "domain") -> str:
    """Lower case, in ASCII, without the last point. Raises: ConfigError at ``where``."""
    name = text.strip().lower().removeprefix("https://").rstrip("/").rstrip(".")
    try:
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        name = ""
    labels = name.split(".")
    good = len(labels) >= 2 and len(name) <= _LONGEST and all(map(_LABEL.fullmatch, labels))
    if not good or labels[-1].isdigit():
        raise ConfigError(where, "Enter a whole name of yours like charge.example.org, without a port.")
    return name


def is_within(name: str, zone: str) -> bool:
    """Whether a name is that zone, or under it."""
    return name == zone or name.endswith("." + zone)
