"""The OpenAPI 3.1 file, made from the route table: nothing in it is written twice."""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from charging_manager import VERSION
from charging_manager.http.bodies import LISTS, OBJECTS
from charging_manager.http.fields import ONE_FOR_ALL
from charging_manager.http.routes import Right, Route

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable, for programs"},
        "detail": {"type": "string", "description": "for people, in their language"},
        "field": {"type": "string", "description": "the field of the body that is meant"},
    },
}
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def describe(routes: Sequence[Route], title: str, cookie: str) -> dict[str, Any]:
    """The whole file as plain data. ``x-right``, ``x-remote``, ``x-scope``: who may come, from where, by which key."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": VERSION},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "login": {"type": "apiKey", "in": "cookie", "name": cookie},
                **({"key": {"type": "http", "scheme": "bearer"}} if any(route.scope for route in routes) else {}),
            },
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"\{([a-z_]+)\}", route.path)
    said: dict[str, Any] = {
        "summary": route.summary,
        "operationId": re.sub(r"[^a-z0-9]+", "-", f"{route.method}{route.path}".lower()).strip("-"),
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names),
            *({"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in route.query),
        ],
        "responses": {str(status): _response(status, route, schemas) for status in route.statuses},
        "security": [] if route.may is Right.ANYBODY else [{"login": []}, *([{"key": []}] if route.scope else [])],
        "x-right": route.may.name.lower(),
        "x-remote": "loopback only" if route.loopback_only else "site only" if route.site_only else "remote",
    }
    if route.scope:
        said["x-scope"] = route.scope
    said["responses"]["default"] = _PROBLEM
    if route.body is bytes:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        said["requestBody"] = {"required": True, "content": content}
    elif route.body is not None:
        content = {"application/json": {"schema": schema_of(route.body, schemas)}}
        said["requestBody"] = {"required": True, "content": content}
    return said


_PROBLEM = {
    "description": "what went wrong",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _response(status: int, route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    if status >= 400:
        return _PROBLEM
    if route.answer is None or status == 204:
        return {"description": "done"}
    if isinstance(route.answer, str):
        return {"description": "the answer", "content": {route.answer: {}}}
    schema = schema_of(route.answer, schemas)
    return {"description": "the answer", "content": {"application/json": {"schema": schema}}}


def schema_of(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of a type; attrs classes go into ``schemas`` under their names and are referred to."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind is datetime:
        return {"type": "string", "format": "date-time"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [each.value for each in kind]}
    if isinstance(kind, type) and attrs.has(kind):
        return _attrs_schema(kind, schemas)
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (types.UnionType, Union):
        return {"anyOf": [schema_of(each, schemas) for each in inner]}
    if origin in LISTS:
        return _list_schema(origin, inner, schemas)
    if origin in OBJECTS:
        return {"type": "object", "additionalProperties": schema_of(inner[1], schemas) if inner else True}
    return {}


def _list_schema(origin: Any, inner: tuple[Any, ...], schemas: dict[str, Any]) -> dict[str, Any]:
    if origin is tuple and inner and ... not in inner:
        items = [schema_of(each, schemas) for each in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    return {"type": "array", "items": schema_of(inner[0], schemas) if inner else {}}


def _field_schema(field: attrs.Attribute[Any], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = schema_of(field.type, schemas)
    return {"anyOf": [schema, {"type": "number"}]} if ONE_FOR_ALL in field.metadata else schema


def _attrs_schema(kind: type, schemas: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{kind.__name__}"}
    if kind.__name__ in schemas:
        return reference
    schemas[kind.__name__] = said = {"type": "object"}
    attrs.resolve_types(kind)
    fields = [field for field in attrs.fields(kind) if field.init]
    said["properties"] = {field.alias: _field_schema(field, schemas) for field in fields}  # type: ignore[assignment]
    said["required"] = [field.alias for field in fields if field.default is attrs.NOTHING]  # type: ignore[assignment]
    said["description"] = (kind.__doc__ or "").partition("\n")[0]
    return reference
