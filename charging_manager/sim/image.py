"""A device's registers as words on the wire, from a driver: which exist, which are read together, how they are coded.

An image knows nothing of time or current; ``sim.simulator`` gives it values by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import frozen

from charging_manager.devices.codec import encode
from charging_manager.devices.driver import Driver, Register, SunSpec, Type, Value
from charging_manager.errors import DeviceRefused
from charging_manager.modbus.pdu import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, MOST

COMMON_LENGTH = 66
"""Of the common block that begins every SunSpec chain."""

SUNSPEC_NA = 0x8000

ValueOf = Callable[[str, int], Value]
"""The value of a register, by name and connector (1 on a device with one)."""


@frozen
class Entry:
    """A register at its place on the wire."""

    register: Register
    address: int
    channel: int

    @property
    def end(self) -> int:
        return self.address + self.register.count


class Image:
    """The registers of one device."""

    def __init__(self, driver: Driver, unit: int) -> None:
        self.driver = driver
        self.shift, self.fixed = _chain(driver.discover) if driver.discover is not None else (0, {})
        """How far the registers lie behind their addresses, and words that belong to no register."""
        self.entries: dict[tuple[int, int], list[Entry]] = {}
        """By function and address, every address of a register."""
        self.by_unit: dict[int, set[Entry]] = {unit: set()}
        self._main_unit = unit
        self._functions = {unit: set[int]()}
        for entry in self._placed():
            at_unit = entry.register.at_unit or unit
            self.by_unit.setdefault(at_unit, set()).add(entry)
            functions = self._functions.setdefault(at_unit, set())
            functions |= {f for f in (entry.register.function, *_writers(entry.register)) if f}
        self._places: dict[tuple[int, int, int], list[Entry]] = {}
        for at_unit, entries in self.by_unit.items():
            for entry in sorted(entries, key=lambda e: (e.address, e.register.bits is not None)):
                for function in (entry.register.function, *_writers(entry.register)):
                    for address in range(entry.address, entry.end):
                        if function is not None:
                            self._places.setdefault((at_unit, function, address), []).append(entry)

    def _placed(self) -> Iterator[Entry]:
        channels = self.driver.channels
        numbers = range(channels.first, channels.first + channels.count) if channels else range(1, 2)
        for register in self.driver.registers.values():
            for channel in numbers if register.channel else (numbers[0],):
                moved = channels.step * (channel - channels.first) if channels and register.channel else 0
                yield Entry(register, register.address + self.shift + moved, channel)

    def units(self) -> set[int]:
        """The units that this device answers for."""
        return set(self.by_unit)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, unit: int, function: int, address: int, count: int, value_of: ValueOf) -> list[int]:
        """The words there. Raises: DeviceRefused as the device would refuse."""
        if function not in self._functions[unit]:
            raise DeviceRefused(ILLEGAL_FUNCTION, f"no register is read by function {function}")
        if count > min(self.driver.bus.max_read, MOST[function]):
            raise DeviceRefused(ILLEGAL_VALUE, f"{count} registers at once")
        end = address + count
        words: list[int | None] = [self.fixed.get(at) if function == 3 else None for at in range(address, end)]
        touched: dict[Entry, None] = {}
        for at in range(address, end):
            for entry in self._places.get((unit, function, at), ()):
                touched[entry] = None
        if self.driver.bus.alone and len({(e.address, e.end) for e in touched}) > 1:
            raise DeviceRefused(ILLEGAL_ADDRESS, "more than one value in a request")
        for entry in touched:
            if entry.address < address or entry.end > end:
                raise DeviceRefused(ILLEGAL_ADDRESS, f"half of {entry.register.name}")
            self._overlay(words, entry, address, value_of)
        gaps = self.driver.bus.gaps and bool(touched)
        if any(word is None for word in words) and not gaps:
            raise DeviceRefused(ILLEGAL_ADDRESS, "no register there")
        return [0 if word is None else word for word in words]

    def _overlay(self, words: list[int | None], entry: Entry, address: int, value_of: ValueOf) -> None:
        register, at = entry.register, entry.address - address
        coded = self.words_of(register, entry.channel, value_of)
        for index, word in enumerate(coded):
            there = words[at + index]
            if register.bits is None or there is None:
                words[at + index] = word
            else:
                lowest, highest = register.bits
                mask = ((1 << highest - lowest + 1) - 1) << lowest
                place = index if register.low_word_first else register.count - 1 - index
                words[at + index] = there & ~(mask >> 16 * place) & 0xFFFF | word

    def words_of(self, register: Register, channel: int, value_of: ValueOf) -> list[int]:
        """The words of one register; what cannot be coded (or is None) becomes the device's own "unknown"."""
        value = value_of(register.name, channel)
        exponent = 0
        if register.scale_from is not None:
            factor = value_of(register.scale_from, channel)
            exponent = int(factor) if isinstance(factor, int | float) else 0
        if value is not None:
            try:
                return [word & 0xFFFF for word in encode(register, value, exponent)]
            except (ValueError, TypeError, IndexError):
                pass
        return unknown_words(register)

    # -- writing -----------------------------------------------------------------------------------------------------

    def written(self, unit: int, function: int, address: int, words: Sequence[int]) -> list[tuple[Entry, list[int]]]:
        """Which registers these words go to. Raises: DeviceRefused as the device would refuse."""
        if function not in self._functions[unit]:
            raise DeviceRefused(ILLEGAL_FUNCTION, f"no register is written by function {function}")
        parts: list[tuple[Entry, list[int]]] = []
        at = address
        while at < address + len(words):
            found = [
                entry
                for entry in self._places.get((unit, function, at), ())
                if function in _writers(entry.register) and entry.address == at
            ]
            if not found:
                raise DeviceRefused(ILLEGAL_ADDRESS, f"nothing is written at {at}")
            entry = found[0]
            if entry.end > address + len(words):
                raise DeviceRefused(ILLEGAL_VALUE, f"half of {entry.register.name}")
            parts.append((entry, list(words[at - address : entry.end - address])))
            at = entry.end
        return parts


def _writers(register: Register) -> tuple[int, ...]:
    """The functions that write it: a register that takes one word by function 6 takes it by 16 alone if it says so."""
    return () if register.write_function is None else (register.write_function,)


def unknown_words(register: Register) -> list[int]:
    """What the device shows when it has no value: its own pattern, else what is usual for the type."""
    if register.type in (Type.F32, Type.F64):
        number = 0x7FC00000 if register.type is Type.F32 else 0x7FF8 << 48
    elif register.na:
        number = register.na[0]
    elif register.type in (Type.I16, Type.I32, Type.I64):
        number = 1 << 16 * register.count - 1
    elif register.type in (Type.U16, Type.U32, Type.U64) and register.bits is None:
        number = (1 << 16 * register.count) - 1
    else:
        number = 0
    words = [number >> 16 * place & 0xFFFF for place in reversed(range(register.count))]
    return words[::-1] if register.low_word_first else words


def _chain(discover: SunSpec) -> tuple[int, Mapping[int, int]]:
    """Where the block lies in a SunSpec chain, and the words of the chain around it."""
    base = discover.bases[0]
    block = base + 2 + 2 + COMMON_LENGTH
    fixed = {block + index: SUNSPEC_NA for index in range(2 + discover.length)}
    head = [0x5375, 0x6E53, 1, COMMON_LENGTH]  # "SunS", then the common block
    text = "Simulated".ljust(32, "\0") + "Meter".ljust(32, "\0")
    head += [ord(text[index]) << 8 | ord(text[index + 1]) for index in range(0, len(text), 2)]
    head += [0] * (2 + 2 + COMMON_LENGTH - len(head))
    fixed |= {base + index: word for index, word in enumerate(head)}
    fixed |= {block + 2 + discover.length: 0xFFFF, block + 3 + discover.length: 0}
    return block, fixed
