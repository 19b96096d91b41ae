"""Where a device's values lie and how they are coded; conditions on values, and writes: the small words of a driver."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import frozen

Value = float | int | str | None
"""A decoded value in our units; None is unknown."""


class Type(StrEnum):
    """How the words of a value are to be read."""

    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    STR = "str"
    STR16 = "str16"
    ASCII_LOW = "ascii-low"
    ASCII_HIGH = "ascii-high"
    BITS = "bits"
    RAW = "raw"
    COIL = "coil"


SIZES: Mapping[Type, int] = {
    Type.U16: 1,
    Type.I16: 1,
    Type.BITS: 1,
    Type.COIL: 1,
    Type.ASCII_LOW: 1,
    Type.ASCII_HIGH: 1,
    Type.U32: 2,
    Type.I32: 2,
    Type.F32: 2,
    Type.U64: 4,
    Type.I64: 4,
    Type.F64: 4,
}
"""Registers (or coils) that a value of this type fills; str, str16 and raw say their own count."""

TEXTS = frozenset({Type.STR, Type.STR16, Type.ASCII_LOW, Type.ASCII_HIGH, Type.RAW})


class Group(StrEnum):
    """How often a value is wanted: every cycle, every half minute, once after connecting, on demand."""

    LIVE = "live"
    SLOW = "slow"
    ONCE = "once"
    RARE = "rare"


UNITS: Mapping[str, str] = {
    "a": "A",
    "v": "V",
    "w": "W",
    "va": "VA",
    "var": "var",
    "wh": "Wh",
    "hz": "Hz",
    "s": "s",
    "c": "°C",
    "percent": "%",
    "pct": "%",
}
"""The last part of a register's name is its unit: ``current_l1_a`` is in amperes."""


@frozen
class Condition:
    """Something about a named value: one of ``values``, or between ``lowest`` and ``highest`` (both included)."""

    register: str
    values: tuple[float | int | str, ...] = ()
    lowest: float | str | None = None
    highest: float | str | None = None

    def holds(self, known: Mapping[str, Value]) -> bool | None:
        """None if the value is unknown. Texts are compared as versions: "1.10" is more than "1.9"."""
        value = known.get(self.register)
        if value is None:
            return None
        if self.values:
            return value in self.values
        low = self.lowest is None or _order(value) >= _order(self.lowest)
        return low and (self.highest is None or _order(value) <= _order(self.highest))


def _order(value: float | int | str) -> tuple[float, ...]:
    if isinstance(value, str):
        parts = "".join(c if c.isdigit() else "." for c in value).split(".")
        return tuple(float(part) for part in parts if part)
    return (float(value),)


def all_hold(conditions: tuple[Condition, ...], known: Mapping[str, Value]) -> bool | None:
    """False if one is false, else None if one is unknown, else True."""
    answers = [condition.holds(known) for condition in conditions]
    if False in answers:
        return False
    return None if None in answers else True


@frozen
class HttpWrite:
    """The request that writes a value of a device with ``[http]``: the number takes the place of ``{value}``."""

    method: str
    path: str
    body: str | None = None


@frozen
class MqttWrite:
    """The message that writes a value of a device with ``[mqtt]``: the number takes the place of ``{value}``."""

    topic: str
    payload: str = "{value}"
    retain: bool = False


@frozen(cache_hash=True)
class Register:
    """One value of the device: where it lies, how it is coded, how often it is wanted.

    ``address`` is the protocol's, counted from 0; with discovery it is the offset from the block's first register.
    ``function`` reads (None: it cannot be read), ``write_function`` writes (None: it must not be written).
    value = bits of raw x scale x 10 ** (value of ``scale_from``) + offset.
    ``lowest`` and ``highest``: outside, a read value is unknown, and a write is refused (0 is always allowed).
    """

    name: str
    address: int
    type: Type
    count: int
    function: int | None = 3
    write_function: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    bits: tuple[int, int] | None = None
    """Lowest and highest bit of the field inside the raw value."""
    na: tuple[int, ...] = ()
    """Raw values that mean "unknown"."""
    low_word_first: bool = False
    low_byte_first: bool = False
    """For texts: the first letter is in the low byte."""
    scale_from: str | None = None
    group: Group = Group.SLOW
    volatile: bool | None = None
    """True: may be written often; False: wears the device's flash; None: nobody says."""
    lowest: float | None = None
    highest: float | None = None
    only_when: tuple[Condition, ...] = ()
    """The value means something only then; else it is unknown."""
    at_unit: int | None = None
    at_port: int | None = None
    channel: bool = False
    """The address repeats for every connector of the device (``Channels``)."""
    example: float | int | str | None = None
    """A typical value: for the documentation, and what a simulator shows."""
    uncertain: str | None = None
    """What nobody confirmed about it."""
    page: int | None = None
    source: str | None = None
    note: str = ""
    json: str | None = None
    """The JSON pointer (RFC 6901) to the value in what ``get`` shows, what comes at ``topic``, or what is pushed."""
    get: str | None = None
    codes: tuple[tuple[str, int], ...] = ()
    """Words of the device and the numbers that stand for them; another word is unknown."""
    json_na: tuple[float, ...] = ()
    """Numbers that mean "unknown", before scale and offset."""
    set: HttpWrite | MqttWrite | None = None
    topic: str | None = None
    """With ``[mqtt]``: where the value is published."""
    on_change: bool = False
    """It is published only when it changes: it counts for as long as the device is heard at all."""
    tell: str | None = None
    """With ``[push]``: the JSON pointer to it in what the device is answered."""

    @property
    def unit(self) -> str:
        """What the value is counted in, from its name; empty for codes and texts."""
        return UNITS.get(self.name.rpartition("_")[2], "") if "_" in self.name else ""

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.count


@frozen
class Write:
    """One value to be written, in our units."""

    register: str
    value: float | int
