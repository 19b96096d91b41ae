"""The JSON schema of exported rules (draft 2020-12), made from the API's bodies and the bounds that are checked."""

from __future__ import annotations

from typing import Any

from charging_manager.agent.api_shapes_rules import KIND, VERSION, RulesBody
from charging_manager.http.openapi import schema_of
from charging_manager.model.rulecheck import (
    BOUNDS,
    LONGEST_KEEP_S,
    LONGEST_NAME,
    MOST_CONDITIONS,
    MOST_LIMIT_A,
    MOST_NAMES,
    MOST_RULES,
    MOST_W,
)

_REFERENCE = "#/components/schemas/"
_TIME = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"


def rules_schema() -> dict[str, Any]:
    """The whole schema, complete in itself."""
    shapes: dict[str, Any] = {}
    schema_of(RulesBody, shapes)
    shapes = _moved(shapes)
    for shape in shapes.values():
        shape["additionalProperties"] = False
    whole = shapes.pop("RulesBody")
    for name in ("revision", "warnings"):
        del whole["properties"][name]
    whole["properties"]["kind"] = {"const": KIND}
    whole["properties"]["version"] = {"type": "integer", "minimum": 1, "maximum": VERSION}
    whole["properties"]["rules"]["maxItems"] = MOST_RULES
    _bound_rule(shapes["RuleBody"]["properties"])
    _bound_condition(shapes["ConditionBody"]["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": KIND, **whole, "$defs": shapes}


def _moved(value: Any) -> Any:
    """References into OpenAPI's components point into this very file."""
    if isinstance(value, dict):
        return {
            key: f"#/$defs/{one.removeprefix(_REFERENCE)}" if key == "$ref" else _moved(one)
            for key, one in value.items()
        }
    return [_moved(one) for one in value] if isinstance(value, list) else value


def _bound_rule(properties: dict[str, Any]) -> None:
    properties["name"] |= {"minLength": 1, "maxLength": LONGEST_NAME}
    _number(properties["limit_a"], 0, MOST_LIMIT_A)
    _number(properties["limit_w"], 0, MOST_W)
    _number(properties["keep_s"], 0, LONGEST_KEEP_S)
    properties["when"]["maxItems"] = MOST_CONDITIONS
    for key in ("charge_points", "users"):
        properties[key]["maxItems"] = MOST_NAMES


def _bound_condition(properties: dict[str, Any]) -> None:
    for key in ("time_from", "time_to"):
        for one in properties[key]["anyOf"]:
            if one["type"] == "string":
                one["pattern"] = _TIME
    properties["weekdays"]["items"] |= {"minimum": 0, "maximum": 6}
    for key, (least, most) in BOUNDS.items():
        _number(properties[key], least, most)


def _number(schema: dict[str, Any], least: float, most: float) -> None:
    for one in schema.get("anyOf", [schema]):
        if one["type"] in ("number", "integer"):
            one |= {"minimum": least, "maximum": most}
