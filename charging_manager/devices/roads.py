"""How devices without registers are reached: over HTTP, at a broker, or by themselves. Words of a driver."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Login(StrEnum):
    """How a device over HTTP asks who we are."""

    ASKED = "asked"  # as its first refusal says: digest if it offers that, else basic
    BASIC = "basic"
    DIGEST = "digest"
    TOKEN = "token"  # noqa: S105 - a word


@frozen
class Http:
    """The device speaks HTTP and JSON: where it listens, and the path that shows what names none of its own."""

    port: int = 80
    get: str | None = None
    login: Login = Login.ASKED
    token_header: str = "Authorization"  # noqa: S105 - a header's name
    """Where its token goes; in ``Authorization`` it is a bearer token (RFC 6750)."""


SILENT_AFTER_S = 10.0
"""SAFETY, F-02: a device that says nothing for so long is silent."""


@frozen
class Available:
    """A topic that says whether the device is there: its payload is ``yes`` or ``no``."""

    topic: str
    yes: str
    no: str


@frozen
class Mqtt:
    """The device publishes at a broker and listens there. Topics are below the prefix in the device's address."""

    port: int = 1883
    prefix: str = ""
    """How that prefix looks, for the page where a device is added."""
    topic: str | None = None
    """Where a value comes that names no topic of its own."""
    qos: int = 0
    silent_after_s: float = SILENT_AFTER_S
    """A device that published nothing for so long is silent."""
    available: Available | None = None


@frozen
class Push:
    """The device tells us by itself, in requests to us; what it is to do stands in our answer."""

    silent_after_s: float = SILENT_AFTER_S
