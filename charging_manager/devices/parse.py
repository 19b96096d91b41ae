"""A driver's table becomes a ``Driver``, or a list of everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import evolve

from charging_manager.devices import driver as d
from charging_manager.devices import reasons as why
from charging_manager.devices.checks import check_driver
from charging_manager.devices.parse_http import http_rules, http_value
from charging_manager.devices.parse_mqtt import mqtt_rules, mqtt_value
from charging_manager.devices.parse_push import push_rules, push_value
from charging_manager.devices.parse_values import MOST_VALUES, ReadValue, check_words, valued
from charging_manager.devices.parse_words import CONDITION, condition, conditions, example, writes
from charging_manager.devices.reasons import Reason
from charging_manager.devices.tables import TEXT, EnoughProblems, Problems, Shape, Table, merged_tables, one_or_more
from charging_manager.errors import ChargingManagerError
from charging_manager.model.reading import Status

FORMAT = 1
"""The version of the format that this program reads (docs/drivers.md, "Versions")."""
ROADS = ("http", "mqtt", "push")
"""Words of which one makes a driver's values other than registers of Modbus."""
MOST_VARIANTS = 20
"""Each is read as the whole table with something different."""
PLACEHOLDER_COUNT = 1
LONGEST_READ = 65536
"""One look at a JSON document gives all its values."""


PAIRS: Shape = {"type": "array", "items": {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}}
CHANGE: Shape = {"type": "object", "minProperties": 1}
VARIANTS: Shape = one_or_more(
    {
        "type": "object",
        "properties": {
            "name": TEXT,
            "when": {"type": "object", "additionalProperties": CONDITION, "minProperties": 1},
            "change": CHANGE,
        },
        "required": ["name", "when", "change"],
        "additionalProperties": False,
    }
)
"""Read after the table itself, since each is the whole of it with something different."""


class NotADriver(ChargingManagerError):
    """The table cannot be a driver: ``problems`` are (key path, sentence), all of them."""

    def __init__(
        self, problems: list[tuple[str, str]], reasons: Mapping[tuple[str, str], Reason] | None = None
    ) -> None:
        super().__init__("; ".join(f"{where}: {sentence}" if where else sentence for where, sentence in problems))
        self.problems = problems
        self.reasons = dict(reasons or {})
        """Why each of them matters."""


def parse_driver(
    data: Mapping[str, Any], name: str, *, path: Path | None = None, hooks: Mapping[str, type] | None = None
) -> d.Driver:
    """The driver that this table describes. Raises: NotADriver with everything that is wrong.

    ``hooks`` are the classes of a plugin; a table of data alone has none.
    """
    problems = Problems()
    table = Table(data, "", problems)
    _check_format(table)
    try:
        made = _with_variants(table, name, data, hooks)
    except EnoughProblems as enough:
        raise NotADriver(problems.found, problems.reasons) from enough
    if problems.found:
        raise NotADriver(problems.found, problems.reasons)
    return evolve(made, path=path)


def _with_variants(table: Table, name: str, data: Mapping[str, Any], hooks: Mapping[str, type] | None) -> d.Driver:
    problems = table.problems
    made = read_table(table, name, hooks)
    if not problems.found:
        check_driver(made, problems)
    variants = tuple(_variant(inner, name, data, hooks) for inner in islice(table.tables("variant"), MOST_VARIANTS))
    if isinstance(data.get("variant"), list) and len(data["variant"]) > MOST_VARIANTS:
        table.wrong("variant", f"a driver has at most {MOST_VARIANTS} variants", why.FILE)
    if not problems.found:
        made = evolve(made, variants=variants)
        check_driver(made, problems)
    return made


def _check_format(table: Table) -> None:
    """Raises: NotADriver for a table of a later program, whose other words would only look like mistakes."""
    version = table.raw("format", {})
    if isinstance(version, int) and version > FORMAT:
        sentence = f"this is version {version} of the format, and this program knows {FORMAT}: update the program"
        raise NotADriver([("format", sentence)], {("format", sentence): why.TOO_NEW})


def read_table(table: Table, name: str, hooks: Mapping[str, type] | None) -> d.Driver:
    """What the table says beside its variants."""
    if table.text("name", name) != name:
        table.wrong("name", f"the file is called {name!r}; name the driver like its file", why.OTHER_NAME)
    table.whole("format", FORMAT, lowest=1, highest=FORMAT)
    bus_table = table.table("bus") or Table({}, "bus", table.problems)
    discover = table.table("discover")
    setpoint, watchdog, phases, storage = (table.table(key) for key in ("setpoint", "watchdog", "phases", "storage"))
    tcp, rtu, channels = (table.table(key) for key in ("tcp", "rtu", "channels"))
    http, mqtt, push = http_rules(table), mqtt_rules(table), push_rules(table)
    values = http_value(http) if http else mqtt_value(mqtt) if mqtt else push_value if push else None
    if values is not None:
        check_words(table)
    wanted = _Defaults(bus_table)
    made = d.Driver(
        name=name,
        vendor=table.text("vendor"),
        model=table.text("model"),
        kind=table.choice("kind", d.Kind),
        sources=table.texts("sources"),
        notes=table.texts("notes"),
        quality=table.maybe_choice("quality", d.Quality),
        tested_firmware=table.texts("tested_firmware"),
        uncertain=table.texts("uncertain"),
        accepted=_accepted(table),
        bus=_bus(bus_table, values is not None),
        registers=_registers(table, wanted, values),
        tcp=_tcp(tcp) if tcp else None,
        rtu=_rtu(rtu) if rtu else None,
        http=http,
        mqtt=mqtt,
        push=push,
        identify=conditions(table, "identify"),
        unlike=tuple(_unlike(inner, wanted) for inner in table.tables("unlike")),
        discover=_sunspec(discover) if discover else None,
        state=_state(table),
        setpoint=_setpoint(setpoint) if setpoint else None,
        watchdog=_watchdog(watchdog) if watchdog else None,
        phases=_phases(phases) if phases else None,
        storage=_storage(storage) if storage else None,
        start=writes(table, "start"),
        wake=writes(table, "wake"),
        recover=tuple(_recovery(inner) for inner in table.tables("recover")),
        never=tuple(_never(inner) for inner in table.tables("never")),
        channels=_channels(channels) if channels else None,
        settings=_settings(table),
        unsigned_currents=table.flag("unsigned_currents"),
        unmapped=_unmapped(table),
        hook=_hook(table, hooks),
    )
    table.raw("variant", VARIANTS)
    table.done()
    return made


class _Defaults:
    """What ``[bus]`` says for every register that does not say otherwise."""

    def __init__(self, bus: Table) -> None:
        self.function = bus.whole("function", 3, lowest=1, highest=4)
        self.write_function = bus.whole("write_function", 0, highest=16)
        self.low_word_first = _word_order(bus)


def _word_order(table: Table, default: bool = False) -> bool:
    return table.word("words", ("high-first", "low-first"), "low-first" if default else "high-first") == "low-first"


def _bus(table: Table, documents: bool) -> d.BusRules:
    if documents:
        made = d.BusRules(
            max_read=LONGEST_READ,
            gaps=True,
            write_gap_s=table.number("write_gap_s", 0.0, lowest=0.0),
            timeout_s=table.number("timeout_s", 3.0, lowest=0.05),
        )
        table.done()
        return made
    rules = d.BusRules(
        max_read=table.whole("max_read", 125, lowest=1, highest=125),
        gaps=table.flag("gaps"),
        alone=table.flag("alone"),
        gap_s=table.number("gap_s", 0.0, lowest=0.0),
        write_gap_s=table.number("write_gap_s", 0.0, lowest=0.0),
        timeout_s=table.number("timeout_s", 1.0, lowest=0.05),
        connect_delay_s=table.number("connect_delay_s", 0.0, lowest=0.0),
        clients=table.maybe_whole("clients"),
    )
    table.done()
    return rules


def _tcp(table: Table) -> d.TcpDefaults:
    made = d.TcpDefaults(table.whole("port", 502, lowest=1), table.whole("unit", 1, highest=255))
    table.done()
    return made


def _rtu(table: Table) -> d.RtuDefaults:
    made = d.RtuDefaults(
        baud=table.whole("baud", lowest=300, highest=1_000_000),
        parity=table.word("parity", ("N", "E", "O"), "N"),
        stopbits=table.whole("stopbits", 1, lowest=1, highest=2),
        databits=table.whole("databits", 8, lowest=7, highest=8),
        unit=table.whole("unit", 1, highest=255),
    )
    table.done()
    return made


def _registers(table: Table, defaults: _Defaults, values: ReadValue | None) -> dict[str, d.Register]:
    inner = table.table("registers", needed="a driver needs a table of registers")
    if inner is None:
        return {}
    if values is not None:
        return valued(dict(inner.named_tables()), values)
    made: dict[str, d.Register] = {}
    for key, each in inner.named_tables():
        if len(made) == MOST_VALUES:
            table.wrong("registers", f"a driver has at most {MOST_VALUES} values", why.FILE)
            break
        made[key] = _register(key, each, defaults)
    return made


def _register(name: str, table: Table, defaults: _Defaults) -> d.Register:
    kind = table.choice("type", d.Type)
    size = d.SIZES.get(kind)
    count = table.whole("count", size or 0, lowest=1, highest=125)
    if size is None and not count:
        table.wrong("count", f"a {kind} does not say how many registers it fills: give a count", why.MISSING)
    elif size is not None and count != size:
        table.wrong("count", f"a {kind} fills {size} registers, not {count}", why.OVERLAP)
    coil = kind is d.Type.COIL
    function: int | None = table.whole("function", 1 if coil else defaults.function, lowest=1, highest=4)
    if not table.flag("read", True):
        function = None
    bits = table.wholes("bits")
    if bits and (len(bits) > 2 or min(bits) < 0 or bits[0] > bits[-1] or bits[-1] >= 16 * count):
        table.mistyped("bits", f"the lowest and the highest bit of the field are needed here, within {16 * count} bits")
        bits = ()
    made = d.Register(
        name=name,
        address=table.whole("address"),
        type=kind,
        count=max(count, PLACEHOLDER_COUNT),
        function=function,
        write_function=_write_function(table, count, coil, defaults.write_function),
        scale=table.number("scale", 1.0),
        offset=table.number("offset", 0.0),
        bits=(bits[0], bits[-1]) if bits else None,
        na=table.wholes("na"),
        low_word_first=_word_order(table, defaults.low_word_first),
        low_byte_first=table.flag("low_byte_first"),
        scale_from=table.maybe_text("scale_from"),
        group=table.choice("group", d.Group, d.Group.SLOW),
        volatile=table.flag("volatile") if "volatile" in table else None,
        lowest=table.maybe_number("min"),
        highest=table.maybe_number("max"),
        only_when=conditions(table, "only_when"),
        at_unit=table.maybe_whole("at_unit"),
        at_port=table.maybe_whole("at_port"),
        channel=table.flag("channel"),
        example=example(table),
        uncertain=table.maybe_text("uncertain"),
        page=table.maybe_whole("page"),
        source=table.maybe_text("source"),
        note=table.text("note", ""),
    )
    if made.scale == 0:
        table.wrong("scale", "every value would be 0", why.SCALE_ZERO)
    table.done()
    return made


def _write_function(table: Table, count: int, coil: bool, default: int) -> int | None:
    wish = table.raw("write", {"anyOf": [{"type": "boolean"}, {"enum": [5, 6, 15, 16]}]})
    if wish is None or wish is False:
        return None
    single, several = (5, 15) if coil else (6, 16)
    if wish is True:
        return several if count > 1 else default or single
    if not isinstance(wish, int) or wish not in (single, several):
        table.mistyped("write", f"true, false, {single} or {several} is needed here")
        return None
    if count > 1 and wish == single:
        table.wrong(
            "write", f"function {single} writes one register, this value fills {count}; use {several}", why.COILS
        )
    return wish


def _unlike(table: Table, defaults: _Defaults) -> d.Unlike:
    """``{ read = { address = 2, type = "f32" }, is = { from = 40 }, why = "..." }``"""
    looked_at = table.table("read")
    name = table.path("read")
    register = _register(name, looked_at or Table({"address": 0, "type": "u16"}, "", Problems()), defaults)
    if looked_at is None:
        table.mistyped("read", "a table with address and type is needed here")
    if "is" not in table:
        table.mistyped("is", "say what is there on the other device")
    shown = condition(table, "is", table.raw("is", CONDITION))
    made = d.Unlike(register, evolve(shown, register=name), table.text("why"))
    table.done()
    return made


def _state(table: Table) -> d.VehicleState | None:
    rules = []
    for inner in table.tables("state"):
        rules.append(d.StateRule(inner.choice("is", Status), conditions(inner, "when")))
        if not rules[-1].when:
            inner.wrong("when", "say which values mean this state", why.EMPTY)
        inner.done()
    return d.VehicleState(tuple(rules)) if rules else None


def _setpoint(table: Table) -> d.Setpoint:
    made = d.Setpoint(
        register=table.text("register"),
        lowest_a=table.number("lowest_a", lowest=0.0),
        highest_a=table.number("highest_a", lowest=0.0),
        step_a=table.number("step_a"),
        pause=writes(table, "pause"),
        resume=writes(table, "resume"),
        applied=table.maybe_text("applied"),
        keep_every_s=table.maybe_number("keep_every_s"),
        raise_every_s=table.number("raise_every_s", 0.0, lowest=0.0),
        settle_s=table.number("settle_s", 5.0, lowest=0.0),
    )
    table.done()
    return made


def _watchdog(table: Table) -> d.Watchdog:
    timeout, fallback = table.maybe_text("timeout"), table.maybe_text("fallback")
    fixed = table.flag("fixed")
    timeout_s = table.number("timeout_s", lowest=1.0)
    made = d.Watchdog(
        fed_by=table.choice("fed_by", d.FedBy),
        timeout=timeout,
        timeout_write=None if fixed else table.text("timeout_write", timeout or "") or None,
        timeout_s=timeout_s,
        every_s=table.number("every_s", timeout_s / 3, lowest=0.5),
        fallback=fallback,
        fallback_write=None if fixed else table.text("fallback_write", fallback or "") or None,
        lowest_a=table.number("lowest_a", 6.0, lowest=0.0),
        feed=writes(table, "feed"),
    )
    table.done()
    return made


def _phases(table: Table) -> d.Phases:
    one, three = table.whole("one"), table.whole("three")
    made = d.Phases(
        register=table.text("register"),
        one=one,
        three=three,
        state=table.maybe_text("state"),
        state_one=table.whole("state_one", one),
        state_three=table.whole("state_three", three),
        when=conditions(table, "when"),
        prepare=writes(table, "prepare"),
        settle_s=table.number("settle_s", 5.0, lowest=0.0),
        every_s=table.number("every_s", 60.0, lowest=0.0),
    )
    table.done()
    return made


def _storage(table: Table) -> d.Storage:
    made = d.Storage(writes(table, "lock"), writes(table, "unlock"), table.maybe_number("keep_every_s"))
    for key, told in (("lock", made.lock), ("unlock", made.unlock)):
        if not told:
            table.wrong(key, f"say what is written to {key} it, for instance {key} = {{ mode = 0 }}", why.EMPTY)
    table.done()
    return made


def _sunspec(table: Table) -> d.SunSpec:
    inner = table.table("sunspec", needed="the one discovery that there is; give its models and their length")
    table.done()
    if inner is None:
        return d.SunSpec((), 0)
    made = d.SunSpec(
        inner.wholes("models"), inner.whole("length", lowest=1), inner.wholes("bases") or (40000, 50000, 0)
    )
    if not made.models:
        inner.mistyped("models", "a list of SunSpec model numbers is needed here")
    inner.done()
    return made


def _recovery(table: Table) -> d.Recovery:
    made = d.Recovery(conditions(table, "when"), writes(table, "write"), table.whole("at_most", 3, lowest=1))
    if not made.when or not made.writes:
        table.wrong("when", "a recovery needs when and write", why.EMPTY)
    table.done()
    return made


def _never(table: Table) -> d.Never:
    made = d.Never(table.whole("address"), table.whole("count", 1, lowest=1), table.text("why"))
    table.done()
    return made


def _channels(table: Table) -> d.Channels:
    made = d.Channels(
        table.whole("step", lowest=1), table.whole("first", 1), table.whole("count", 1, lowest=1, highest=1000)
    )
    table.done()
    return made


def _settings(table: Table) -> tuple[d.Setting, ...]:
    inner = table.table("settings")
    if inner is None:
        return ()
    made = []
    for name, each in inner.named_tables():
        pairs = each.raw("swap", PAIRS) or []
        if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            each.mistyped("swap", "a list of pairs of names is needed here")
            pairs = []
        swap = tuple((str(a), str(b)) for a, b in pairs)
        made.append(d.Setting(name, each.text("title"), each.texts("negate"), swap))
        each.done()
    return tuple(made)


def _accepted(table: Table) -> tuple[d.Accepted, ...]:
    """``[accepted]``: warnings of the linter that are so and stay so, each with the reason."""
    inner = table.table("accepted")
    if inner is None:
        return ()
    found = [(doubt, inner.maybe_text(doubt.value)) for doubt in d.Doubt]
    inner.done()
    return tuple(d.Accepted(doubt, reason) for doubt, reason in found if reason is not None)


def _unmapped(table: Table) -> tuple[d.Unmapped, ...]:
    inner = table.table("unmapped")
    if inner is None:
        return ()
    for key, reason in inner.items(TEXT):
        if not isinstance(reason, str):
            inner.mistyped(key, "the reason is needed here, as a text")
    return tuple(d.Unmapped(key, str(reason)) for key, reason in inner.items(TEXT))


def _hook(table: Table, hooks: Mapping[str, type] | None) -> type | None:
    name = table.maybe_text("hook")
    if name is None:
        return None
    if hooks is None:
        table.wrong("hook", "a table holds no code; a hook needs a plugin, NAME.py, beside it", why.HOOK)
        return None
    if name not in hooks:
        table.wrong("hook", f"the plugin has no class {name!r}", why.HOOK)
    return hooks.get(name)


def _variant(table: Table, name: str, data: Mapping[str, Any], hooks: Mapping[str, type] | None) -> d.Variant:
    title, when, change = table.text("name"), conditions(table, "when"), table.raw("change", CHANGE)
    table.done()
    if not when:
        table.wrong("when", "say on which devices this variant is", why.EMPTY)
    if not isinstance(change, Mapping) or not change:
        table.mistyped("change", "a table of what is different is needed here")
        change = {}
    merged = merged_tables({key: value for key, value in data.items() if key != "variant"}, change)
    problems = Problems()
    made = None
    with suppress(EnoughProblems):
        made = read_table(Table(merged, "", problems), name, hooks)
        if not problems.found:
            check_driver(made, problems)
    known = tuple(table.problems.found)
    for where, sentence in problems.found:
        if (where, sentence) not in known:  # what the table itself has wrong is said there
            reason = problems.reasons.get((where, sentence))
            table.problems.add(f"{table.where}.change.{where}", sentence, reason)
    if made is None:
        raise EnoughProblems
    return d.Variant(title, when, made)
