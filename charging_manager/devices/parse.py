"""A driver's table becomes a ``Driver``, or a list of everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from charging_manager.devices import driver as d
from charging_manager.devices.checks import check_driver
from charging_manager.devices.parse_http import check_words, http_path, http_registers
from charging_manager.devices.parse_words import condition, conditions, example
from charging_manager.devices.tables import Problems, Table
from charging_manager.errors import ChargingManagerError
from charging_manager.model.reading import Status

PLACEHOLDER_COUNT = 1
LONGEST_READ = 65536
"""One look at a JSON document gives all its values."""


class NotADriver(ChargingManagerError):
    """The table cannot be a driver: ``problems`` are (key path, sentence), all of them."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {sentence}" if where else sentence for where, sentence in problems))
        self.problems = problems


def parse_driver(
    data: Mapping[str, Any], name: str, *, path: Path | None = None, hooks: Mapping[str, type] | None = None
) -> d.Driver:
    """The driver that this table describes. Raises: NotADriver with everything that is wrong.

    ``hooks`` are the classes of a plugin; a table of data alone has none.
    """
    problems = Problems()
    table = Table(data, "", problems)
    made = _driver(table, name, hooks)
    if not problems.found:
        check_driver(made, problems)
    variants = tuple(_variant(inner, name, data, hooks) for inner in table.tables("variant"))
    if not problems.found:
        made = evolve(made, variants=variants)
        check_driver(made, problems)
    if problems.found:
        raise NotADriver(problems.found)
    return evolve(made, path=path)


def _driver(table: Table, name: str, hooks: Mapping[str, type] | None) -> d.Driver:
    """What the table says beside its variants."""
    if table.text("name", name) != name:
        table.wrong("name", f"the file is called {name!r}; name the driver like its file")
    bus_table = table.table("bus") or Table({}, "bus", table.problems)
    discover = table.table("discover")
    setpoint, watchdog, phases, storage = (table.table(key) for key in ("setpoint", "watchdog", "phases", "storage"))
    tcp, rtu, channels = (table.table(key) for key in ("tcp", "rtu", "channels"))
    http = _http(table)
    wanted = _Defaults(bus_table)
    made = d.Driver(
        name=name,
        vendor=table.text("vendor"),
        model=table.text("model"),
        kind=table.choice("kind", d.Kind),
        sources=table.texts("sources"),
        notes=table.texts("notes"),
        bus=_bus(bus_table, http),
        registers=_registers(table, wanted, http),
        tcp=_tcp(tcp) if tcp else None,
        rtu=_rtu(rtu) if rtu else None,
        http=http,
        identify=conditions(table, "identify"),
        unlike=tuple(_unlike(inner, wanted) for inner in table.tables("unlike")),
        discover=_sunspec(discover) if discover else None,
        state=_state(table),
        setpoint=_setpoint(setpoint) if setpoint else None,
        watchdog=_watchdog(watchdog) if watchdog else None,
        phases=_phases(phases) if phases else None,
        storage=_storage(storage) if storage else None,
        start=_writes(table, "start"),
        wake=_writes(table, "wake"),
        recover=tuple(_recovery(inner) for inner in table.tables("recover")),
        never=tuple(_never(inner) for inner in table.tables("never")),
        channels=_channels(channels) if channels else None,
        settings=_settings(table),
        unsigned_currents=table.flag("unsigned_currents"),
        unmapped=tuple(
            d.Unmapped(key, str(why)) for key, why in (table.table("unmapped") or Table({}, "", table.problems)).items()
        ),
        hook=_hook(table, hooks),
    )
    table.raw("variant")
    table.done()
    return made


class _Defaults:
    """What ``[bus]`` says for every register that does not say otherwise."""

    def __init__(self, bus: Table) -> None:
        self.function = bus.whole("function", 3, lowest=1, highest=4)
        self.write_function = bus.whole("write_function", 0, highest=16)
        self.low_word_first = _word_order(bus)


def _word_order(table: Table, default: bool = False) -> bool:
    words = table.text("words", "low-first" if default else "high-first")
    if words not in ("high-first", "low-first"):
        table.wrong("words", "high-first or low-first is needed here")
    return words == "low-first"


def _http(table: Table) -> d.Http | None:
    inner = table.table("http")
    if inner is None:
        return None
    check_words(table)
    made = d.Http(inner.whole("port", 80, lowest=1), http_path(inner, "get", "") or None)
    inner.done()
    return made


def _bus(table: Table, http: d.Http | None) -> d.BusRules:
    if http is not None:
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
        parity=table.text("parity", "N"),
        stopbits=table.whole("stopbits", 1, lowest=1, highest=2),
        databits=table.whole("databits", 8, lowest=7, highest=8),
        unit=table.whole("unit", 1, highest=255),
    )
    if made.parity not in ("N", "E", "O"):
        table.wrong("parity", "N, E or O is needed here")
    table.done()
    return made


def _registers(table: Table, defaults: _Defaults, http: d.Http | None) -> dict[str, d.Register]:
    inner = table.table("registers")
    if inner is None:
        table.wrong("registers", "a driver needs a table of registers")
        return {}
    if http is not None:
        return http_registers(dict(inner.named_tables()), http.get)
    return {key: _register(key, each, defaults) for key, each in inner.named_tables()}


def _register(name: str, table: Table, defaults: _Defaults) -> d.Register:
    kind = table.choice("type", d.Type)
    size = d.SIZES.get(kind)
    count = table.whole("count", size or 0, lowest=1, highest=125)
    if size is None and not count:
        table.wrong("count", f"a {kind} does not say how many registers it fills: give a count")
    elif size is not None and count != size:
        table.wrong("count", f"a {kind} fills {size} registers, not {count}")
    coil = kind is d.Type.COIL
    function: int | None = table.whole("function", 1 if coil else defaults.function, lowest=1, highest=4)
    if not table.flag("read", True):
        function = None
    bits = table.wholes("bits")
    if bits and (len(bits) > 2 or min(bits) < 0 or bits[0] > bits[-1] or bits[-1] >= 16 * count):
        table.wrong("bits", f"the lowest and the highest bit of the field are needed here, within {16 * count} bits")
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
        page=table.maybe_whole("page"),
        source=table.maybe_text("source"),
        note=table.text("note", ""),
    )
    if made.scale == 0:
        table.wrong("scale", "every value would be 0")
    table.raw("volatile")
    table.done()
    return made


def _write_function(table: Table, count: int, coil: bool, default: int) -> int | None:
    wish = table.raw("write")
    if wish is None or wish is False:
        return None
    single, several = (5, 15) if coil else (6, 16)
    if wish is True:
        return several if count > 1 else default or single
    if not isinstance(wish, int) or wish not in (single, several):
        table.wrong("write", f"true, false, {single} or {several} is needed here")
        return None
    if count > 1 and wish == single:
        table.wrong("write", f"function {single} writes one register, this value fills {count}; use {several}")
    return wish


def _unlike(table: Table, defaults: _Defaults) -> d.Unlike:
    """``{ read = { address = 2, type = "f32" }, is = { from = 40 }, why = "..." }``"""
    looked_at = table.table("read")
    name = table.path("read")
    register = _register(name, looked_at or Table({"address": 0, "type": "u16"}, "", Problems()), defaults)
    if looked_at is None:
        table.wrong("read", "a table with address and type is needed here")
    if "is" not in table:
        table.wrong("is", "say what is there on the other device")
    made = d.Unlike(register, evolve(condition(table, "is", table.raw("is")), register=name), table.text("why"))
    table.done()
    return made


def _writes(table: Table, key: str) -> tuple[d.Write, ...]:
    made = []
    for inner in table.tables(key):
        for name, value in inner.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                made.append(d.Write(name, value))
            else:
                inner.wrong(name, "the number that is to be written is needed here")
    return tuple(made)


def _state(table: Table) -> d.VehicleState | None:
    rules = []
    for inner in table.tables("state"):
        rules.append(d.StateRule(inner.choice("is", Status), conditions(inner, "when")))
        if not rules[-1].when:
            inner.wrong("when", "say which values mean this state")
        inner.done()
    return d.VehicleState(tuple(rules)) if rules else None


def _setpoint(table: Table) -> d.Setpoint:
    made = d.Setpoint(
        register=table.text("register"),
        lowest_a=table.number("lowest_a", lowest=0.0),
        highest_a=table.number("highest_a", lowest=0.0),
        step_a=table.number("step_a"),
        pause=_writes(table, "pause"),
        resume=_writes(table, "resume"),
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
        feed=_writes(table, "feed"),
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
        prepare=_writes(table, "prepare"),
        settle_s=table.number("settle_s", 5.0, lowest=0.0),
        every_s=table.number("every_s", 60.0, lowest=0.0),
    )
    table.done()
    return made


def _storage(table: Table) -> d.Storage:
    made = d.Storage(_writes(table, "lock"), _writes(table, "unlock"), table.maybe_number("keep_every_s"))
    for key, writes in (("lock", made.lock), ("unlock", made.unlock)):
        if not writes:
            table.wrong(key, f"say what is written to {key} it, for instance {key} = {{ mode = 0 }}")
    table.done()
    return made


def _sunspec(table: Table) -> d.SunSpec:
    inner = table.table("sunspec")
    table.done()
    if inner is None:
        table.wrong("sunspec", "the one discovery that there is; give its models and their length")
        return d.SunSpec((), 0)
    made = d.SunSpec(
        inner.wholes("models"), inner.whole("length", lowest=1), inner.wholes("bases") or (40000, 50000, 0)
    )
    if not made.models:
        inner.wrong("models", "a list of SunSpec model numbers is needed here")
    inner.done()
    return made


def _recovery(table: Table) -> d.Recovery:
    made = d.Recovery(conditions(table, "when"), _writes(table, "write"), table.whole("at_most", 3, lowest=1))
    if not made.when or not made.writes:
        table.wrong("when", "a recovery needs when and write")
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
        pairs = each.raw("swap") or []
        if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            each.wrong("swap", "a list of pairs of names is needed here")
            pairs = []
        swap = tuple((str(a), str(b)) for a, b in pairs)
        made.append(d.Setting(name, each.text("title"), each.texts("negate"), swap))
        each.done()
    return tuple(made)


def _hook(table: Table, hooks: Mapping[str, type] | None) -> type | None:
    name = table.maybe_text("hook")
    if name is None:
        return None
    if hooks is None:
        table.wrong("hook", "a table holds no code; a hook needs a plugin, NAME.py, beside it")
        return None
    if name not in hooks:
        table.wrong("hook", f"the plugin has no class {name!r}")
    return hooks.get(name)


def _variant(table: Table, name: str, data: Mapping[str, Any], hooks: Mapping[str, type] | None) -> d.Variant:
    title, when = table.text("name"), conditions(table, "when")
    change = table.raw("change")
    table.done()
    if not when:
        table.wrong("when", "say on which devices this variant is")
    if not isinstance(change, Mapping) or not change:
        table.wrong("change", "a table of what is different is needed here")
        change = {}
    merged = _merged({key: value for key, value in data.items() if key != "variant"}, change)
    problems = Problems()
    made = _driver(Table(merged, "", problems), name, hooks)
    if not problems.found:
        check_driver(made, problems)
    known = tuple(table.problems.found)
    for where, sentence in problems.found:
        if (where, sentence) not in known:  # what the table itself has wrong is said there
            table.problems.add(f"{table.where}.change.{where}", sentence)
    return d.Variant(title, when, made)


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
