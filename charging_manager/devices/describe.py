"""A page for people about one driver: what it reads and writes, what the device does by itself, what is left out."""

from __future__ import annotations

from collections.abc import Iterator

from charging_manager.devices.driver import Driver, Group, MqttWrite, Quality, Register


def describe(driver: Driver) -> str:
    """Markdown, made from the driver alone."""
    return "\n".join(_lines(driver)) + "\n"


def _lines(driver: Driver) -> Iterator[str]:
    yield f"# {driver.vendor} {driver.model}"
    yield ""
    yield f"`{driver.name}`, a {driver.kind}. Sources: {'; '.join(driver.sources) or 'with each register'}."
    yield ""
    yield from (f"* {note}" for note in driver.notes)
    yield from _sureness(driver)
    yield from _transport(driver)
    yield from _control(driver)
    for setting in driver.settings:
        yield f"* Setting `{setting.name}`: {setting.title}."
    for unlike in driver.unlike:
        yield f"* It is another device if {unlike.why}."
    for variant in driver.variants:
        yield f"* Variant: {variant.name}."
    for group in Group:
        registers = [r for r in driver.registers.values() if r.group is group]
        if registers:
            yield ""
            yield f"## Values, {_GROUPS[group]}"
            yield ""
            yield "| name | address | type | scale | unit | read, write | remarks |"
            yield "| --- | --- | --- | --- | --- | --- | --- |"
            yield from (_row(register) for register in sorted(registers, key=lambda r: r.address))
    if driver.unmapped or driver.never:
        yield ""
        yield "## Left alone"
        yield ""
        yield from (f"* `{unmapped.name}`: {unmapped.why}" for unmapped in driver.unmapped)
        yield from (f"* never written, {never.address}: {never.why}" for never in driver.never)


_GROUPS = {
    Group.LIVE: "every turn",
    Group.SLOW: "every half minute",
    Group.ONCE: "after connecting",
    Group.RARE: "on demand",
}


_QUALITIES = {
    Quality.FIELD: "proven in the field",
    Quality.MANUAL: "by the manual",
    Quality.SINGLE_SOURCE: "from a single source",
}


def _sureness(driver: Driver) -> Iterator[str]:
    if driver.quality is not None:
        yield f"* How sure it is: {_QUALITIES[driver.quality]}."
    if driver.tested_firmware:
        yield f"* Tried with firmware {', '.join(driver.tested_firmware)}."
    yield from (f"* Not certain: {sentence}" for sentence in driver.uncertain)
    yield from (f"* Known and accepted, {each.doubt}: {each.why}." for each in driver.accepted)


def _transport(driver: Driver) -> Iterator[str]:
    if driver.http:
        yield f"* HTTP and JSON: port {driver.http.port}."
    if driver.mqtt:
        yield f"* MQTT: port {driver.mqtt.port} of the broker; silent after {driver.mqtt.silent_after_s:g} s."
    if driver.push:
        yield f"* It tells us by itself; silent after {driver.push.silent_after_s:g} s."
    if driver.tcp:
        yield f"* Modbus TCP: port {driver.tcp.port}, unit {driver.tcp.unit}."
    if driver.rtu:
        rtu = driver.rtu
        yield f"* Serial: {rtu.baud} baud, {rtu.databits}{rtu.parity}{rtu.stopbits}, unit {rtu.unit}."
    rules = driver.bus
    if rules.alone:
        yield "* Every value is read by a request of its own."
    if rules.gap_s:
        yield f"* {rules.gap_s:g} s of silence between two requests."
    if rules.write_gap_s:
        yield f"* {rules.write_gap_s:g} s between two writes."
    if driver.discover:
        models = ", ".join(map(str, driver.discover.models))
        yield f"* Found by walking the SunSpec chain to a block of model {models}; addresses are offsets in it."


def _control(driver: Driver) -> Iterator[str]:
    rule, watchdog = driver.setpoint, driver.watchdog
    if rule is not None:
        yield f"* Setpoint: {rule.lowest_a:g} to {rule.highest_a:g} A in steps of {rule.step_a:g} A; less is a pause."
        pause = ", ".join(f"`{write.register}` = {write.value:g}" for write in rule.pause)
        yield f"* Pause: {pause}."
        if rule.resume:
            resume = ", ".join(f"`{write.register}` = {write.value:g}" for write in rule.resume)
            yield f"* Resume: {resume}."
    if watchdog is not None:
        does = "takes the planned fallback current" if watchdog.fallback else "stops"
        if watchdog.timeout is None:
            does = "takes a current of its own, which it does not show"
        elif watchdog.timeout_write is None:
            does = "takes its own fallback current, which it shows and which is set elsewhere"
        yield f"* Without us for {watchdog.timeout_s:g} s it {does}; fed by {watchdog.fed_by.replace('-', ' ')}."
    elif rule is not None:
        yield "* No watchdog: when we are silent it goes on as it was told last."
    if driver.phases is not None:
        yield "* It can switch between one and three phases: paused first, and the new state is read back."


def _row(register: Register) -> str:
    how = [said for said in (_read(register), _written(register)) if said]
    remarks = [register.note] if register.note else []
    if register.uncertain:
        remarks.append(f"not certain: {register.uncertain}")
    if register.bits:
        low, high = register.bits
        remarks.append(f"bit {low}" if low == high else f"bits {low} to {high}")
    if register.volatile is False:
        remarks.append("in flash")
    if register.na:
        remarks.append("unknown: " + ", ".join(f"0x{raw:X}" for raw in register.na))
    if register.page is not None:
        remarks.append(f"page {register.page}")
    scale = f"by `{register.scale_from}`" if register.scale_from else f"{register.scale:g}"
    cells = (
        f"`{register.name}`",
        f"{register.address}",
        f"{register.type}" + (f" x {register.count}" if register.count > 4 else ""),
        scale,
        register.unit,
        ", ".join(how),
        "; ".join(remarks),
    )
    return "| " + " | ".join(cells) + " |"


def _read(register: Register) -> str:
    if register.function is None:
        return ""
    if register.topic is not None:
        return f"`{register.json}` in `{register.topic}`" if register.json else f"`{register.topic}`"
    if register.json is not None:
        return f"`{register.json}` in `{register.get}`" if register.get else f"`{register.json}`"
    return f"function {register.function}"


def _written(register: Register) -> str:
    rule = register.set
    if register.tell is not None:
        return f"told as `{register.tell}`"
    if isinstance(rule, MqttWrite):
        return f"set by `{rule.topic}`"
    if rule is not None:
        return f"set by {rule.method} `{rule.path}`"
    return "" if register.write_function is None else f"written by {register.write_function}"
