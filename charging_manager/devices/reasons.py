"""Why a mistake in a driver matters on a real box, and what to write instead: what the linter says beside a problem."""

from __future__ import annotations

import re

from attrs import evolve, frozen


@frozen
class Reason:
    """``name`` is short and stays; ``instead`` is empty where the word's own meaning says it (docs/drivers.md)."""

    name: str
    why: str
    instead: str = ""


SYNTAX = Reason(
    "not-toml",
    "A file that cannot be read to its end is left out as a whole: half a driver would be worse.",
    'one "key = value" a line; texts in double quotes, tables in one line as { a = 1, b = 2 }',
)
_SLIPS = (
    (
        r"([\w-]+)\s*=\s*(-?\d+),\s*(\d+)",
        r"a decimal point: \1 = \2.\3; or brackets around several numbers: \1 = [\2, \3]",
    ),
    (r"([\w-]+)\s*=\s*(?!(?:true|false|inf|nan)\b)([^\W\d](?:[\w ./-]*\w)?)", r'the text in double quotes: \1 = "\2"'),
)


def misspelt(line: str) -> Reason:
    """SYNTAX, with the remedy for the two slips of those who write their first table."""
    for slip, instead in _SLIPS:
        if found := re.search(slip, line):
            return evolve(SYNTAX, instead=found.expand(instead))
    return SYNTAX


FILE = Reason(
    "not-a-driver-file",
    "It is left out, and devices that need it do not run.",
    "a plain UTF-8 file NAME.toml with NAME in small letters, digits and hyphens",
)
TOO_NEW = Reason(
    "format-too-new",
    "Words that this program does not know would be passed over, a watchdog for instance.",
    "format = 1, if the table needs nothing newer; else a newer program",
)
WRONG_TYPE = Reason(
    "wrong-type", "What stands here is not taken as something near it: a guess at a register is a guess at a current."
)
MISSING = Reason("missing", "Nothing sensible can be assumed here, so the file is left out.")
UNKNOWN_WORD = Reason(
    "unknown-word",
    "A word that is not understood is not obeyed: with scale misspelt, 16 A would be read as 16000 A or as 0.016 A.",
)
FORBIDDEN = Reason(
    "not-together", "The device has no such thing on this road: the words would do nothing and promise much."
)
HOOK = Reason(
    "hook",
    "Code runs with our rights, so it comes from folders on the disk only, where nobody but root or our user writes.",
    "NAME.py beside the table in a drivers folder, with a class of this name; or say it in the table",
)
HOSTLESS = Reason(
    "path",
    "Host and port are what the installer enters; a path that names them could send our writes elsewhere.",
    'the path alone, in plain letters: get = "/status"',
)
POINTER = Reason(
    "pointer", "The value would be unknown for ever.", 'json = "/emeters/0/power": a slash before every step'
)
HEADER = Reason(
    "header",
    "A header that HTTP itself needs would break the request, or send the secret where it does not belong.",
    'login = "token" and token_header = "X-Api-Key", as the device\'s documentation names it',
)
TOPIC = Reason(
    "topic",
    "A wildcard would mix values of several devices, and one of them would be steered by another's car.",
    'topic = "emeter/0/power", below the prefix of the address',
)
LATE_SILENCE = Reason(
    "late-silence",
    "Until a device counts as silent, its last values are believed while something else may be so.",
    "silent_after_s of two or three periods in which the device speaks",
)
SOURCE = Reason(
    "no-source",
    "A number whose origin nobody wrote down cannot be checked, and a wrong one burns a fuse.",
    'page = 12 at the register, or sources = ["Acme Wall manual, rev 1.4"] for the whole table',
)
BEYOND = Reason(
    "beyond-the-end",
    "The device refuses the request. Addresses that manuals print as 40001 or 30001 are 0 on the wire.",
    "the protocol's address, counted from 0",
)
UNUSED = Reason("unused", "It would never be asked for and never be written.", "leave read out, or say write = true")
COILS = Reason(
    "wrong-function",
    "Coils and registers are different tables: the device refuses (exception 1), or shows the value of another thing.",
    'type = "coil" with function 1 or 2, every other type with function 3 or 4',
)
TOO_LONG = Reason(
    "illegal-read",
    "A value cannot be read in two halves: the device refuses (exception 3), or shows halves of two moments.",
    "the count of the manual; or a larger max_read in [bus], if the device takes it",
)
MIN_MAX = Reason("min-max", "Every value would be unknown, and every write refused.", "min below max, in our units")
TEXT_NUMBER = Reason("text-number", "A text is not counted.", "a numeric type; or leave bits, scale and scale_from out")
NO_CHANNELS = Reason(
    "no-channels",
    "Without the step all connectors would be the first one, and a limit would reach the wrong car.",
    "[channels] with step, first and count",
)
SCALE_FROM = Reason("scale-from", "The exponent would lie at an unknown place.", "scale = 0.1 and the like")
OVERLAP = Reason(
    "overlap",
    "One of the two is wrong, and a value made of another's half looks real: it is off 65536-fold.",
    "the manual's addresses from 0 on and its types; two views of one value have the same address, count and type",
)
SCALE_ZERO = Reason(
    "scale-zero",
    "Every value would be 0: a car that draws 32 A would be taken for none, and the fuse would carry it.",
    "scale = 0.1, 0.01 or 0.001, whichever the manual says; leave it out for 1",
)
AGES = Reason(
    "ages",
    "They are compared, and values of different moments contradict each other: the reading would not be believed.",
    "the same group for voltage, current and power of a phase where power is given",
)
NO_REGISTER = Reason("no-register", "The name leads nowhere.", "a name that stands in [registers]")
UNREADABLE = Reason(
    "unreadable",
    "What is decided by a value that nobody reads stays unknown for ever.",
    "a register without read = false",
)
UNWRITABLE = Reason(
    "unwritable",
    "What is not declared as written is never written: that keeps a misspelt table from resetting a box.",
    "write = true at the register, with its volatile",
)
PART_WRITE = Reason(
    "part-write",
    "Writing a part would overwrite the bits beside it.",
    "a register of its own for the whole value, without bits and scale_from",
)
OUT_OF_RANGE = Reason(
    "out-of-range",
    "The box refuses the write, or cuts the number to something else: it would not pause, or not obey.",
    "a value between min and max; or correct min and max",
)
DOES_NOT_FIT = Reason(
    "does-not-fit",
    "The number would be cut off on the wire, and the box would be told something small or absurd.",
    "the manual's type and scale; highest_a divided by scale must fit the register",
)
NEVER = Reason("never", "You said yourself that this must not be written.", "another register; or correct [[never]]")
STEP = Reason(
    "step",
    "Currents are rounded down to the step; one that the register cannot hold would be rounded by the box, maybe up.",
    "step_a = the register's scale, or a multiple of it",
)
NO_PAUSE = Reason(
    "no-pause",
    "Less than 6 A cannot be given to a car: without a pause the last one could never be stopped for a full circuit.",
    "pause = { enable = 0 }, or pause = { setpoint_a = 0 } where the manual says that 0 pauses",
)
NO_RESUME = Reason(
    "no-resume",
    "After the first pause the box would stay paused.",
    "resume = { enable = 1 }, for every register of pause",
)
FLASH = Reason(
    "flash-cyclic",
    "Flash bears some 100,000 writes: written every 10 s it is dead in two weeks, and so is the box.",
    "the volatile register of the manual; or write it on change only, without keep_every_s, and feed with another",
)
PHASE_CODES = Reason("phase-codes", "The number of phases could not be told.", "two different codes")
PHASE_WEAR = Reason(
    "flash-phases",
    "Flash bears some 100,000 writes, and sun comes and goes every minute.",
    "every_s = 300 or more",
)
NO_UNLOCK = Reason("no-unlock", "The battery would stay locked.", "unlock = the value that the manual calls normal")
SLOW_FALLBACK = Reason(
    "late-watchdog",
    "A fuse bears an overload for a minute or so. A box that falls back later has burnt it by then.",
    "timeout_s = 60 or less; longer values belong to the box's own settings (fixed = true shows them)",
)
STARVED = Reason(
    "starved",
    "One lost request, and the box would fall back in the middle of charging.",
    "every_s at most half of timeout_s; a third is better",
)
UNSEEN = Reason(
    "unseen", "What cannot be read back may have been refused, and a fallback that is not there would be counted on."
)
UNFED = Reason("unfed", "Nothing would be written, and the box would fall back for ever.", "feed = { alive = 1 }")
NO_ROAD = Reason(
    "no-road",
    "The device could not be offered with any kind of address.",
    "[tcp] with port and unit, [rtu] with baud, or [http], [mqtt] or [push]",
)
NO_STATE = Reason(
    "no-state",
    "Nobody would know whether a car is there and charging: its worst case stays reserved for ever.",
    "[[state]] with is and when, at least for free, plugged and charging",
)
NO_SETPOINT = Reason("no-setpoint", "It could not be told a current, which is all we are for.", "[setpoint]")
NOT_A_CHARGER = Reason("not-a-charger", "Only a charger takes a current.", 'kind = "charger", or leave the table out')
NO_LIVE = Reason(
    "no-live",
    "A meter that is read every half minute lets a fuse burn in between.",
    'group = "live" at currents and power',
)
UNLIKE = Reason("unlike", "The two could not be told apart.", "leave it out, or name a place that can be read")
STORAGE = Reason("storage", "Only a meter, an inverter or a gateway is a storage battery.", "leave [storage] out")
KEEP = Reason("keep", "The bus would do little else.", "keep_every_s = 5 or more")
EMPTY = Reason("empty", "Without it the entry says nothing.")
VALUE_PLACE = Reason("value-place", "The number would never be sent.", 'path = "/api/set?amp={value}"')
OTHER_NAME = Reason(
    "other-name", "Devices name their driver by its file; two names for one would be one too many.", "leave name out"
)
ODD_EXCUSE = Reason("odd-excuse", "An accepted warning that does not exist hides a real one.")
