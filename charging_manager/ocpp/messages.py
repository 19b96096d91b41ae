"""Frames of OCPP-J: calls, answers and errors, bounded, and checked against the schemas of the ``ocpp`` package.

The package's own ``unpack`` and ``validate_payload`` are not used: the one lets the recursion of nested brackets and
huge numbers through, the other needs asyncio, and the name of a call would become part of a path.
"""

from __future__ import annotations

import decimal
import json
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import orjson
from attrs import frozen
from jsonschema.exceptions import ValidationError
from ocpp.messages import Call, CallError, CallResult, MessageType, get_validator, pack

from charging_manager.errors import ChargingManagerError

__all__ = ["BadFrame", "Call", "CallError", "CallResult", "Version", "check", "pack", "parse"]

Message: TypeAlias = Any
"""A Call, CallResult or CallError; the package has no types."""

_LONGEST_ID = 64
_SAID = 160
_DEEPEST = 24
_WITH_DECIMALS = frozenset({"SetChargingProfile", "RemoteStartTransaction"})
_RESULTS_WITH_DECIMALS = frozenset({"GetCompositeSchedule"})


@frozen
class Version:
    """A version of OCPP: its number, and what it is called as a WebSocket subprotocol."""

    number: str
    subprotocol: str
    malformed: str
    """Its error code for a payload that is not as it should be; the two versions spell it differently."""

    @property
    def folder(self) -> str:
        return "v" + self.number.replace(".", "")


class BadFrame(ChargingManagerError):
    """A frame that cannot be used. ``id`` is that of the call to answer with ``code``, None where there is none."""

    def __init__(self, code: str, sentence: str, id: str | None = None) -> None:
        super().__init__(sentence)
        self.code, self.id = code, id

    def answer(self) -> str | None:
        """The frame that tells the peer."""
        return None if self.id is None else str(pack(CallError(self.id, self.code, str(self)[:255], {})))


@cache
def actions(folder: str) -> frozenset[str]:
    """The calls of a version: those that there is a schema of."""
    names = {one.name.removesuffix(".json") for one in (files("ocpp") / folder / "schemas").iterdir()}
    answers = {name.removesuffix("Response") for name in names if name.endswith("Response")}
    return frozenset(answers)


def parse(text: str) -> Message:
    """The message of a frame. Raises: BadFrame."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadFrame("RpcFrameworkError", f"sent no JSON: {error}"[:_SAID]) from error
    if not isinstance(frame, list) or len(frame) < 3 or not isinstance(frame[1], str):
        raise BadFrame("RpcFrameworkError", "sent JSON that is no message: a list with a kind and an ID is wanted")
    kind, id, *rest = frame
    if not 0 < len(id) <= _LONGEST_ID:
        raise BadFrame("RpcFrameworkError", "sent a message without an ID of 1 to 64 characters")
    if kind == MessageType.Call:
        if len(rest) != 2 or not isinstance(rest[0], str) or not isinstance(rest[1], dict):
            raise BadFrame("ProtocolError", "sent a call that is not [2, id, action, {…}]", id)
        if not _is_flat(rest[1]):
            raise BadFrame("ProtocolError", "sent a call that is nested too deeply", id)
        return Call(id, rest[0], rest[1])
    if kind == MessageType.CallResult and len(rest) == 1 and isinstance(rest[0], dict) and _is_flat(rest[0]):
        return CallResult(id, rest[0])
    if kind == MessageType.CallError and len(rest) >= 1 and isinstance(rest[0], str):
        said = rest[1] if len(rest) > 1 and isinstance(rest[1], str) else ""
        return CallError(id, rest[0][:64], said[:_SAID], {})
    raise BadFrame("RpcFrameworkError", "sent a message that is neither a call nor an answer")


def check(message: Call | CallResult, action: str, version: Version) -> None:
    """That its payload is as the version's schema wants it. Raises: BadFrame."""
    result = isinstance(message, CallResult)
    if action not in actions(version.folder):
        raise BadFrame("NotImplemented", f"OCPP {version.number} knows no {action[:40]!r}", message.unique_id)
    payload = message.payload
    if version.number == "1.6" and action in (_RESULTS_WITH_DECIMALS if result else _WITH_DECIMALS):
        parse_float: Any = decimal.Decimal  # a multiple of 0.1 is none in binary
        payload = json.loads(json.dumps(payload), parse_float=decimal.Decimal)
    else:
        parse_float = float
    kind = MessageType.CallResult if result else MessageType.Call
    validator = get_validator(kind, action, version.number, parse_float=parse_float)
    try:
        validator.validate(payload)
    except ValidationError as error:
        raise BadFrame(
            _code(error, version), f"{action}: {_where(error)}{error.message}"[:_SAID], message.unique_id
        ) from error


def _code(error: ValidationError, version: Version) -> str:
    return {"type": "TypeConstraintViolation", "required": "ProtocolError", "enum": "PropertyConstraintViolation"}.get(
        str(error.validator), version.malformed
    )


def _where(error: ValidationError) -> str:
    path = ".".join(map(str, error.absolute_path))
    return f"{path}: " if path else ""


def _is_flat(value: object) -> bool:
    """Nested no deeper than any message of OCPP is, by far."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
