"""One root, with branches that a caller can act on. A person reads ``str(error)``: it says what to do."""

from __future__ import annotations


class ChargingManagerError(Exception):
    """Root of everything that we raise on purpose."""


class ConfigError(ChargingManagerError):
    """Something that a person configured cannot work.

    ``where`` is a file, a key path or a field's name; the sentence says what is wrong and what to do. With ``fields``
    the sentence is constant and has ``{name}`` places, so that it can be said in another language; ``sentence`` has
    them filled in, ``template`` not.
    """

    def __init__(self, where: str, sentence: str, **fields: object) -> None:
        said = sentence.format_map(fields) if fields else sentence
        super().__init__(f"{where}: {said}" if where else said)
        self.where = where
        self.sentence = said
        self.template = sentence
        self.fields = fields


class DeviceError(ChargingManagerError):
    """A device did not do what it was asked."""


class DeviceSilent(DeviceError):
    """Nothing came back in time, or the connection is down."""


class DeviceRefused(DeviceError):
    """The device answered with an exception code (Modbus Application Protocol 1.1b3, section 7)."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class DeviceLocked(DeviceRefused):
    """The device asks for a login, or refuses ours."""


class DeviceNonsense(DeviceError):
    """An answer came, and it cannot be one to this request."""


class TunnelError(ChargingManagerError):
    """The tunnel between agent and cloud failed; ``code`` is stable and has a sentence in each language.

    ``fields`` are what the code's sentence has places for.
    """

    def __init__(self, code: str, sentence: str = "", **fields: str) -> None:
        super().__init__(sentence or code)
        self.code = code
        self.fields = fields
