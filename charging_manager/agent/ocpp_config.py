"""The listener for charge points that speak OCPP, their passwords and cards, as they were entered."""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Mapping

from attrs import field, frozen
from cryptography import x509

from charging_manager.errors import ConfigError
from charging_manager.modbus.address import IDENTITY

PORT = 8887
PROFILES = (1, 2, 3)
"""Security profiles of OCPP: password over plain TCP, password over TLS, certificate over TLS."""

MOST_CARDS = 2000
_LARGEST_PEM = 65_536


@frozen
class OcppSettings:
    """Off by default: without charge points that need it, no port is open."""

    enabled: bool = False
    port: int = PORT
    bind: str = ""
    """An address of this machine; empty: all."""
    profile: int = 2
    client_ca: str = ""
    """PEM: who signs the certificates of charge points (profile 3)."""
    known_cards_only: bool = False
    """Only who shows a known card may charge; else everybody who plugs in."""
    passwords: Mapping[str, str] = field(factory=dict)
    """By identity, a keyed hash."""
    cards: Mapping[str, str] = field(factory=dict)
    """By keyed hash of the card's number: the user."""


def check_ocpp(settings: OcppSettings, users: Container[str]) -> None:
    """Raises: ConfigError with the key path."""
    if not 1 <= settings.port <= 65535:
        raise ConfigError("ocpp.port", "a port is a number from 1 to 65535")
    if settings.bind:
        try:
            ipaddress.ip_address(settings.bind)
        except ValueError as error:
            raise ConfigError(
                "ocpp.bind", "an IP address of this machine, as in 192.168.1.10, or empty for all of them"
            ) from error
    if settings.profile not in PROFILES:
        raise ConfigError("ocpp.profile", "the security profile is 1, 2 or 3")
    if settings.client_ca:
        read_client_ca(settings.client_ca)
    elif settings.profile == 3:
        raise ConfigError(
            "ocpp.client_ca",
            "security profile 3 needs the certificate, as PEM, of who signs the certificates of charge points",
        )
    for identity in settings.passwords:
        if not IDENTITY.fullmatch(identity):
            raise ConfigError("ocpp.passwords", "an identity is 1 to 48 of letters, digits and *-_=:+|@.")
    if len(settings.cards) > MOST_CARDS:
        raise ConfigError("ocpp.cards", "at most {most} cards", most=MOST_CARDS)
    for user in settings.cards.values():
        if user not in users:
            raise ConfigError("ocpp.cards", "there is no user {name}; name one that exists", name=repr(user))


def read_client_ca(pem: str) -> list[x509.Certificate]:
    """The certificates in it. Raises: ConfigError."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode()) if len(pem) <= _LARGEST_PEM else []
    except ValueError:
        found = []
    if not found:
        raise ConfigError("ocpp.client_ca", "this is no certificate as PEM; it begins with -----BEGIN CERTIFICATE-----")
    return found
