"""The words of a driver for a device at an MQTT broker: ``[mqtt]``, and where a value is published and set."""

from __future__ import annotations

from attrs import evolve

from charging_manager.devices import reasons as why
from charging_manager.devices.driver import SILENT_AFTER_S, Available, Mqtt
from charging_manager.devices.parse_values import ReadValue, readable, writable
from charging_manager.devices.registers import MqttWrite, Register
from charging_manager.devices.tables import Table

LONGEST_TOPIC = 200
LONGEST_SILENCE_S = 3600.0


def mqtt_rules(table: Table) -> Mqtt | None:
    """What ``[mqtt]`` says, if it is there."""
    inner = table.table("mqtt")
    if inner is None:
        return None
    made = Mqtt(
        port=inner.whole("port", 1883, lowest=1),
        prefix=_topic(inner, "prefix", "").strip("/"),
        topic=_topic(inner, "topic", "") or None,
        qos=inner.whole("qos", 0, highest=1),
        silent_after_s=silent_after_s(inner),
        available=_available(inner),
    )
    inner.done()
    return made


def silent_after_s(table: Table) -> float:
    """After how much silence the device counts as gone."""
    found = table.number("silent_after_s", SILENT_AFTER_S, lowest=1.0)
    if found > LONGEST_SILENCE_S:
        table.wrong("silent_after_s", f"at most {LONGEST_SILENCE_S:g}; who says less is not heard", why.LATE_SILENCE)
    return found


def mqtt_value(rules: Mqtt) -> ReadValue:
    """How a value's own words are read."""

    def read_value(table: Table, made: Register) -> Register:
        rule = _set(table)
        given = "topic" in table or made.json is not None or rule is None
        topic = _topic(table, "topic", (rules.topic or "") if given else "") or None
        if topic is None and rule is None:
            table.wrong("topic", "say at which topic this value is published, here or in [mqtt]", why.POINTER)
        made = readable(evolve(made, topic=topic, on_change=table.flag("on_change")), topic is not None)
        return made if rule is None else writable(table, "set", evolve(made, set=rule))

    return read_value


def _topic(table: Table, key: str, default: str | None = None) -> str:
    """A topic below the device's prefix, or one that has ``{prefix}`` in it."""
    topic = table.text(key, default)
    if topic and (len(topic) > LONGEST_TOPIC or not topic.isprintable() or set(topic) & set("+#$")):
        table.wrong(key, 'one topic is needed here, without + and #: for instance "emeter/0/power"', why.TOPIC)
    return topic


def _available(table: Table) -> Available | None:
    inner = table.table("available")
    if inner is None:
        return None
    made = Available(_topic(inner, "topic"), inner.text("yes", "online"), inner.text("no", "offline"))
    if made.yes == made.no:
        inner.wrong("no", "what it says when it is gone is what it says when it is there", why.TOPIC)
    inner.done()
    return made


def _set(table: Table) -> MqttWrite | None:
    inner = table.table("set")
    if inner is None:
        return None
    made = MqttWrite(_topic(inner, "topic"), inner.text("payload", "{value}"), inner.flag("retain"))
    if "{value}" not in made.payload:
        inner.wrong("payload", "{value} must stand in the payload: there the number goes", why.VALUE_PLACE)
    inner.done()
    return made
