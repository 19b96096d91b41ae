"""What a simulated device can be made to do wrong."""

from __future__ import annotations

from attrs import define, field

from charging_manager.modbus.frames import crc16


@define
class Faults:
    """All off at first; see docs/simulators.md for what each does."""

    silence: bool = False
    delay_ms: float = 0.0
    exception: int | None = None
    """The code to answer every request with: 6 busy, 10 and 11 as gateways do."""
    half_frame: bool = False
    wrong_unit: bool = False
    nan: bool | list[str] = False
    """Measured values are unknown: all, or those named."""
    frozen: bool = False
    """All values stay what they are."""
    starting_until_s: float = field(default=0.0)
    """After a restart it says nothing for a while."""
    zero_energy_until_s: float = field(default=0.0)
    """After a restart its counters read 0 for a while."""

    def unknown(self, name: str, measured: bool) -> bool:
        """Whether this value is one of those that are unknown now."""
        return name in self.nan if isinstance(self.nan, list) else self.nan and measured

    def spoil(self, frame: bytes, serial: bool) -> list[bytes]:
        """The pieces of this answer that are really sent."""
        if self.wrong_unit:
            at = 0 if serial else 6
            frame = frame[:at] + bytes(((frame[at] + 1) % 248,)) + frame[at + 1 :]
            if serial:
                frame = frame[:-2] + crc16(frame[:-2]).to_bytes(2, "little")
        if self.half_frame:
            frame = frame[: max(1, len(frame) // 2)]
        return [frame]
