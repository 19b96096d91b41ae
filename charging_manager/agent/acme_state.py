"""What has to outlive a restart between an account at an authority and a certificate: one file, 0600, written whole."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve, field, frozen
from cattrs.errors import BaseValidationError
from cryptography.hazmat.primitives import serialization
from twisted.logger import Logger

from charging_manager.agent.documents import CONVERTER
from charging_manager.storage.files import write_private

log = Logger()


@frozen
class AcmeState:
    """An order is kept before anything is done for it, so whoever is killed goes on with it, and with its key."""

    directory: str = ""
    """Of the authority at which the account is."""
    account_key: str = field(default="", repr=False)
    account: str = ""
    caa: tuple[str, ...] = ()
    """How CAA records name that authority."""
    order: str = ""
    order_key: str = field(default="", repr=False)
    order_names: tuple[str, ...] = ()
    got: str = ""
    """The fingerprint of the certificate that came so, and from where."""
    got_from: str = ""
    failures: int = 0
    not_before: datetime | None = None
    """No attempt by itself before this."""
    ordered_until: datetime | None = None
    """The authority itself wants to be left alone so long."""
    problem: str = ""
    """Why the last attempt failed: a sentence of ours, with places for ``fields``."""
    fields: dict[str, str] = field(factory=dict)


class StateFile:
    """Reads once; a change is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.current = self._read()

    def change(self, **what: Any) -> AcmeState:
        """Raises: OSError, and then nothing has changed."""
        after = evolve(self.current, **what)
        if after != self.current:
            write_private(self._path, orjson.dumps(CONVERTER.unstructure(after)))
            self.current = after
        return after

    def _read(self) -> AcmeState:
        try:
            state: AcmeState = CONVERTER.structure(orjson.loads(self._path.read_bytes()), AcmeState)
            for pem in filter(None, (state.account_key, state.order_key)):
                serialization.load_pem_private_key(pem.encode(), None)
        except FileNotFoundError:
            return AcmeState()
        except (OSError, ValueError, TypeError, BaseValidationError) as error:
            log.error("{path} cannot be read, an account is made anew: {error}", path=str(self._path), error=str(error))
            return AcmeState()
        return state
