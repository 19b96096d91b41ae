"""Words of the wire become values in our units, and back. Unknown is None: na patterns, NaN, infinities."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

from charging_manager.devices.driver import TEXTS, Driver, Register, Type, Value, all_hold

_FORMATS: Mapping[Type, str] = {
    Type.U16: ">H",
    Type.BITS: ">H",
    Type.COIL: ">H",
    Type.I16: ">h",
    Type.U32: ">I",
    Type.I32: ">i",
    Type.U64: ">Q",
    Type.I64: ">q",
    Type.F32: ">f",
    Type.F64: ">d",
}
_FLOATS = frozenset({Type.F32, Type.F64})


def raw_number(register: Register, words: Sequence[int]) -> int:
    """The words as one unsigned number, after the word order: what ``na`` patterns are compared with."""
    ordered = reversed(words) if register.low_word_first else words
    number = 0
    for word in ordered:
        number = number << 16 | word
    return number


def decode(register: Register, words: Sequence[int], exponent: int = 0) -> Value:
    """The value in these words, or None. ``exponent`` is the value of the register's ``scale_from``."""
    if len(words) != register.count:
        raise ValueError(f"{register.name}: {len(words)} words for {register.count}")
    if register.type in TEXTS:
        return _text(register, words)
    number = raw_number(register, words)
    if number in register.na:
        return None
    value: float | int
    if register.bits is not None:
        lowest, highest = register.bits
        value = number >> lowest & (1 << highest - lowest + 1) - 1
    else:
        data = number.to_bytes(2 * register.count, "big")
        value = struct.unpack(_FORMATS[register.type], data)[0]
        if not math.isfinite(value):
            return None
    if register.scale == 1.0 and exponent == 0 and register.offset == 0.0:
        return value
    scaled = (
        _scaled(value, register.scale) * 10.0**exponent
        if exponent >= 0
        else _scaled(value, register.scale) / 10.0**-exponent
    )
    return scaled + register.offset if math.isfinite(scaled) else None


def _scaled(value: float | int, scale: float) -> float:
    """value x scale, and for 0.1, 0.01, ... by division, so that 160 x 0.1 is 16 and not 16.000000000000004."""
    inverse = round(1 / scale)
    return value / inverse if inverse > 1 and abs(1 / scale - inverse) < 1e-9 else value * scale


def _text(register: Register, words: Sequence[int]) -> Value:
    if register.type is Type.ASCII_LOW or register.type is Type.ASCII_HIGH:
        code = words[0] & 0xFF if register.type is Type.ASCII_LOW else words[0] >> 8
        return chr(code) if chr(code).isprintable() else None
    data = struct.pack(f">{len(words)}H", *words)
    if register.type is Type.RAW:
        return data.hex() if any(data) else None
    if register.type is Type.STR16:
        text = data.decode("utf-16-be", "replace")
    else:
        if register.low_byte_first:
            data = b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))
        text = data.decode("latin-1")
    text = text.split("\0")[0].strip()
    return "".join(c for c in text if c.isprintable()) or None


def encode(register: Register, value: float | int | str, exponent: int = 0) -> list[int]:
    """The words for a value; numbers are cut off toward zero after a hair's breadth, so a current never grows.

    Raises: ValueError if the value does not fit the register.
    """
    if register.type in TEXTS:
        return _text_words(register, str(value))
    if isinstance(value, str):
        raise ValueError(f"{register.name} takes a number, not {value!r}")
    scaled = (value - register.offset) / register.scale / 10.0**exponent
    if register.type in _FLOATS:
        try:
            data = struct.pack(_FORMATS[register.type], scaled)
        except OverflowError as error:
            raise ValueError(f"{register.name} cannot hold {value:g}") from error
        return _ordered(register, data)
    if not math.isfinite(scaled):
        raise ValueError(f"{register.name} cannot hold {value}")
    whole = math.trunc(scaled + math.copysign(1e-6, scaled))
    if register.bits is not None:
        lowest, highest = register.bits
        if not 0 <= whole < 1 << highest - lowest + 1:
            raise ValueError(f"{register.name} cannot hold {value:g}")
        return _ordered(register, (whole << lowest).to_bytes(2 * register.count, "big"))
    try:
        data = struct.pack(_FORMATS[register.type], whole)
    except struct.error as error:
        raise ValueError(f"{register.name} cannot hold {value:g}") from error
    return _ordered(register, data)


def _ordered(register: Register, data: bytes) -> list[int]:
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return words[::-1] if register.low_word_first else words


def _text_words(register: Register, text: str) -> list[int]:
    if register.type is Type.ASCII_LOW:
        return [ord(text[0]) & 0xFF]
    if register.type is Type.ASCII_HIGH:
        return [(ord(text[0]) & 0xFF) << 8]
    size = 2 * register.count
    if register.type is Type.RAW:
        data = bytes.fromhex(text)
    elif register.type is Type.STR16:
        data = text.encode("utf-16-be")
    else:
        data = text.encode("latin-1", "replace")
    data = data[:size].ljust(size, b"\0")
    if register.low_byte_first and register.type is Type.STR:
        data = b"".join(data[at : at + 2][::-1] for at in range(0, size, 2))
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, size, 2)]


def decode_all(
    driver: Driver, words: Mapping[str, Sequence[int]], known: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """Every value whose words are given; scale factors are taken from the same words, else from ``known``."""
    values: dict[str, Value] = {}
    for name in sorted(words, key=lambda name: driver.registers[name].scale_from is not None):
        register = driver.registers[name]
        exponent = 0
        if register.scale_from is not None:
            factor = values.get(register.scale_from, (known or {}).get(register.scale_from))
            if not isinstance(factor, int) or not -10 <= factor <= 10:  # SunSpec's own bounds
                values[name] = None
                continue
            exponent = factor
        values[name] = decode(register, words[name], exponent)
    return values


def meaningful(driver: Driver, values: Mapping[str, Value]) -> dict[str, Value]:
    """The same values, those unknown that mean nothing at the moment (``only_when``)."""
    return {
        name: value if all_hold(driver.registers[name].only_when, values) else None for name, value in values.items()
    }
