"""JSON to attrs values and back: strict going in, with the field named, and plain going out.

Strict: no unknown fields, no text where a number belongs, no NaN or infinity, no nesting deeper than 32.
"""

from __future__ import annotations

import math
from collections import abc
from collections.abc import Callable, Mapping, Set
from datetime import datetime
from enum import Enum
from typing import Any, get_args, get_origin

import attrs
import orjson
from cattrs import Converter

from charging_manager.errors import ConfigError
from charging_manager.http.fields import COMPLAINT, ONE_FOR_ALL, Unfit
from charging_manager.http.problems import from_config_error
from charging_manager.http.routes import Problem

_DEEPEST = 32
LISTS = (list, tuple, set, frozenset, abc.Sequence, abc.Set, abc.Collection, abc.Iterable)
OBJECTS = (dict, abc.Mapping, abc.MutableMapping)


class _InField(Exception):
    """Which field a failure was in; its cause is the failure."""

    def __init__(self, name: str, cause: Exception) -> None:
        super().__init__(name)
        self.name, self.cause = name, cause


def read_json(data: bytes) -> Any:
    """Raises: Problem 400 for what is no JSON, or too deeply nested."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "bad-json", "the body is not valid JSON") from error
    if _depth(value) > _DEEPEST:
        raise Problem(400, "bad-json", "the body is nested too deeply")
    return value


def structure_body(value: Any, wanted: type) -> Any:
    """``value`` as an instance of ``wanted``. Raises: Problem 422 ``invalid-field`` naming the field."""
    if wanted in (dict, list):
        if not isinstance(value, wanted):
            raise Problem(
                422, "invalid-field", "the body must be a JSON object" if wanted is dict else "a list is needed"
            )
        return value
    try:
        return _CONVERTER.structure(value, wanted)
    except Exception as error:
        raise _blame(error) from error


def to_json(value: Any) -> bytes:
    """Anything that JSON can say, attrs values and mappings included; what is not finite becomes null."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say")


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level and deepest <= _DEEPEST:
        deepest += 1
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return deepest


def _blame(error: BaseException) -> Problem:
    """The first field that failed, as a dotted path, and what it must be."""
    path: list[str] = []
    while True:
        if isinstance(error, _InField):
            path.append(error.name)
            error = error.cause
        else:
            break
    where = ".".join(path) or None
    if isinstance(error, Unfit):
        return Problem(422, "invalid-field", error.sentence, where=where, **error.fields)
    if isinstance(error, ConfigError):
        problem = from_config_error(error)
        problem.where = where or problem.where
        return problem
    return Problem(422, "invalid-field", "this value is not possible here", where=where)


def _strict(kind: type, sentence: str) -> Callable[[Any, Any], Any]:
    def structure(value: Any, wanted: Any) -> Any:
        if _is_enum(wanted):  # cattrs takes a StrEnum for a str, an IntEnum for an int
            return _enum(value, wanted)
        if type(value) is not kind:
            raise Unfit(sentence)
        return value

    return structure


def _float(value: Any, _: Any) -> float:
    if type(value) not in (int, float):
        raise Unfit("must be a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise Unfit("must be a number") from error
    if not math.isfinite(number):
        raise Unfit("must be a number")
    return number


def _moment(value: Any, _: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Unfit("must be a date and time such as 2026-01-31T12:00:00Z") from error
    if moment.tzinfo is None:
        raise Unfit("must be a date and time such as 2026-01-31T12:00:00Z")
    return moment


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _enum(value: Any, kind: type[Enum]) -> Enum:
    try:
        return kind(value)
    except ValueError as error:
        raise Unfit("must be one of: {names}", names=", ".join(str(each.value) for each in kind)) from error


def _listing(wanted: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """cattrs takes any iterable, a text or an object's keys included; we take JSON lists."""
    make = get_origin(wanted) or wanted
    make = make if make in (list, tuple, set, frozenset) else tuple
    inner = get_args(wanted) or (Any, ...)
    fixed = inner if make is tuple and ... not in inner else None

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise Unfit("must be a list")
        if fixed is not None and len(value) != len(fixed):
            raise Unfit("must be a list of {count}", count=len(fixed))
        kinds = fixed or (inner[0],) * len(value)
        return make(
            _inside(str(at), converter, each, kind) for at, (each, kind) in enumerate(zip(value, kinds, strict=True))
        )

    return structure


def _object(wanted: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    kind = (*get_args(wanted), Any, Any)[1]

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise Unfit("must be a JSON object")
        return {name: _inside(name, converter, each, kind) for name, each in value.items()}

    return structure


def _attrs(wanted: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """Field by field, so that a validator's complaint names its field too."""
    attrs.resolve_types(wanted)
    fields = {field.alias: field for field in attrs.fields(wanted) if field.init}

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise Unfit("must be a JSON object")
        for name in value:
            if name not in fields:
                raise _InField(name, Unfit("there is no such field here"))
        given = {}
        for name, field in fields.items():
            if name in value:
                given[name] = one = _field(name, converter, value[name], field)
                if field.validator is not None:
                    try:
                        field.validator(None, field, one)
                    except (ValueError, TypeError, ConfigError) as error:
                        raise _InField(name, error) from error
            elif field.default is attrs.NOTHING:
                raise _InField(name, Unfit("this field is needed"))
        return wanted(**given)

    return structure


def _field(name: str, converter: Converter, value: Any, field: attrs.Attribute[Any]) -> Any:
    """The value, with what the field's metadata say of it (``fields.one_for_all``, ``fields.complains``)."""
    if type(value) in (int, float) and ONE_FOR_ALL in field.metadata:
        value = [value] * field.metadata[ONE_FOR_ALL]
    try:
        return _inside(name, converter, value, field.type)
    except _InField as error:
        if isinstance(error.cause, Unfit) and COMPLAINT in field.metadata:
            raise _InField(name, Unfit(field.metadata[COMPLAINT])) from error
        raise


def _inside(name: str, converter: Converter, value: Any, kind: Any) -> Any:
    try:
        return converter.structure(value, kind)
    except Exception as error:
        raise _InField(name, error) from error


def _is_listing(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (
        list,
        tuple,
        set,
        frozenset,
        abc.Sequence,
        abc.Set,
        abc.Collection,
        abc.Iterable,
    )


def _is_object(kind: Any) -> bool:
    return (get_origin(kind) or kind) in OBJECTS


def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(str, _strict(str, "must be a text"))
    converter.register_structure_hook(int, _strict(int, "must be a whole number"))
    converter.register_structure_hook(bool, _strict(bool, "must be true or false"))
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(datetime, _moment)
    converter.register_structure_hook_func(_is_enum, _enum)
    converter.register_structure_hook_factory(_is_listing)(_listing)
    converter.register_structure_hook_factory(_is_object)(_object)
    converter.register_structure_hook_factory(attrs.has)(_attrs)
    return converter


_CONVERTER = _converter()
