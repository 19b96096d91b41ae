"""The route table as agent and cloud use it: rights, input, and an answer whatever happens."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.errors import ConfigError, DeviceSilent
from charging_manager.http.fields import between, length, matching
from charging_manager.http.problems import PROBLEM
from charging_manager.http.routes import NOBODY, Answer, Call, Caller, Problem, Right, Role, Route, Stream
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.storage.database import StorageError

USER = Caller(Role.USER, user="u1")
ADMIN = Caller(Role.ADMIN, loopback=True)
FAR_ADMIN = Caller(Role.ADMIN, remote=True)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@frozen
class Handle:
    length_mm: float = field(validator=between(1, 100))
    colour: Colour = Colour.RED
    inside: Colour | None = None


@frozen
class Cup:
    name: str = field(validator=length(1, 10))
    handles: list[Handle] = field(factory=list)
    volume_ml: int = 250
    code: str | None = field(default=None, validator=matching("[A-Z]{3}", "must be three capital letters"))
    dents: dict[str, float] = field(factory=dict)
    corner: tuple[float, float, float] | None = None
    washed: bool = False


async def echo(call: Call) -> object:
    return call.body


async def parts(call: Call) -> object:
    return {"params": dict(call.params), "query": dict(call.query), "language": call.caller.language}


async def nothing(call: Call) -> None:
    return None


async def fails(call: Call) -> object:
    raise {
        "bug": ZeroDivisionError("secret detail"),
        "problem": Problem(409, "exists", "there is a cup {name} already", where="name", name="Tom"),
        "config": ConfigError("circuits.a", "give it another parent"),
        "full": StorageError("disk-full", "the disk is full"),
        "silent": DeviceSilent("garage-1 does not answer"),
        "sql": sqlite3.IntegrityError("UNIQUE"),
    }[call.params["how"]]


async def stream(call: Call) -> Stream:
    return Stream(lambda sink: None)  # type: ignore[arg-type, return-value]


TABLE = RouteTable(
    [
        Route("POST", "/api/v1/cups", Right.USER, echo, "Add a cup", body=Cup, answer=Cup, statuses=(201,)),
        Route("GET", "/api/v1/cups/{id}", Right.ANYBODY, parts, "A cup", query=("from", "to")),
        Route("GET", "/api/v1/cups.csv", Right.ANYBODY, parts, "All as CSV", answer="text/csv"),
        Route("DELETE", "/api/v1/cups/{id}", Right.ADMIN, nothing, "Break it", statuses=(204,)),
        Route("PUT", "/api/v1/cups/{id}", Right.ADMIN, echo, "Any JSON", body=dict, site_only=True, body_limit=1000),
        Route("PUT", "/api/v1/image", Right.ANYBODY, echo, "A picture", body=bytes, loopback_only=True),
        Route("GET", "/api/v1/fail/{how}", Right.ANYBODY, fails, "Goes wrong"),
        Route("GET", "/api/v1/events", Right.ANYBODY, stream, "Events"),
    ],
    "Cups",
)
result_of = SynchronousTestCase().successResultOf


def wait(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
    return result_of(Deferred.fromCoroutine(coroutine))


def ask(method: str, path: str, caller: Caller = NOBODY, body: object = None, **more: Any) -> Answer:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    path, _, query = path.partition("?")
    kind = more.pop("content_type", "application/json" if data else "")
    answer = wait(TABLE.answer(RawRequest(method, path, query, data, kind, more.pop("headers", {})), caller))
    assert isinstance(answer, Answer)
    return answer


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


def problem(answer: Answer) -> tuple[int, str, str | None]:
    assert answer.content_type == PROBLEM
    body = said(answer)
    assert body["status"] == answer.status
    return answer.status, body["code"], body.get("field")


def test_a_typed_body_comes_back_as_json_with_the_declared_status() -> None:
    answer = ask("POST", "/api/v1/cups", USER, {"name": "Tom", "handles": [{"length_mm": 5}], "corner": [1, 2, 3]})
    assert answer.status == 201
    assert said(answer) == {
        "name": "Tom",
        "handles": [{"length_mm": 5.0, "colour": "red", "inside": None}],
        "volume_ml": 250,
        "code": None,
        "dents": {},
        "corner": [1.0, 2.0, 3.0],
        "washed": False,
    }


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"name": "Tom", "nmae": 1}, "nmae"),
        ({"name": "Tom", "volume_ml": "5"}, "volume_ml"),
        ({"name": "Tom", "volume_ml": 5.0}, "volume_ml"),
        ({"name": "Tom", "volume_ml": True}, "volume_ml"),
        ({"name": "Tom", "washed": 1}, "washed"),
        ({"name": "Tom", "code": "abc"}, "code"),
        ({"name": "Tom", "handles": "ab"}, "handles"),
        ({"name": "Tom", "handles": {"a": 1}}, "handles"),
        ({"name": "Tom", "handles": [{"length_mm": 5}, {"length_mm": 500}]}, "handles.1.length_mm"),
        ({"name": "Tom", "handles": [{"length_mm": 5, "colour": "green"}]}, "handles.0.colour"),
        ({"name": "Tom", "handles": [{"length_mm": 5, "inside": "green"}]}, "handles.0.inside"),
        ({"name": "Tom", "handles": [7]}, "handles.0"),
        ({"name": "Tom", "dents": {"left": "big"}}, "dents.left"),
        ({"name": "Tom", "dents": [1]}, "dents"),
        ({"name": "Tom", "corner": [1, 2]}, "corner"),
        ({"name": "Tom", "corner": [1, 2, None]}, "corner.2"),
        ([], None),
        ("Tom", None),
    ],
)
def test_a_wrong_field_is_named(body: object, where: str | None) -> None:
    assert problem(ask("POST", "/api/v1/cups", USER, body)) == (422, "invalid-field", where)


@pytest.mark.parametrize("number", [b"1e999", b"NaN", b"Infinity", b"-1e400", b"1" * 400])
def test_numbers_are_finite(number: bytes) -> None:
    answer = ask("POST", "/api/v1/cups", USER, b'{"name": "Tom", "dents": {"left": ' + number + b"}}")
    assert problem(answer)[:2] in {
        (
            400,
            "bad-json",
        ),
        (422, "invalid-field"),
    }


@pytest.mark.parametrize("body", [b"{", b'{"name": "Tom"} x', b"\xff\xfe", b"[" * 5000 + b"]" * 5000, b"[" * 60000])
def test_what_is_no_json_or_too_deep_is_refused(body: bytes) -> None:
    assert problem(ask("POST", "/api/v1/cups", USER, body)) == (400, "bad-json", None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "handles", "volume_ml", "code", "dents", "corner", "washed", "length_mm", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_whatever_comes_is_taken_or_refused_with_a_field_and_is_never_a_bug(body: object) -> None:
    answer = ask("POST", "/api/v1/cups", USER, json.dumps(body).encode())
    assert answer.status in (201, 400, 422)
    if isinstance(body, dict) and answer.status == 422:
        assert problem(answer)[2]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["GET", "HEAD", "PUT", "X"]))
def test_no_address_is_a_bug(path: str, query: str, method: str) -> None:
    answer = wait(TABLE.answer(RawRequest(method, "/api/v1/cups/" + path, query), NOBODY))
    assert answer.status in (200, 400, 401, 404, 405)


def test_depth_counts_lists_in_objects() -> None:
    deep: object = 1
    for _ in range(20):
        deep = {"a": [deep]}
    assert problem(ask("PUT", "/api/v1/cups/x", ADMIN, deep)) == (400, "bad-json", None)


def test_only_json_is_taken() -> None:
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert problem(ask("POST", "/api/v1/cups", USER, {"name": "Tom"}, content_type=kind))[:2] == (
            415,
            "json-needed",
        )
    assert (
        ask("POST", "/api/v1/cups", USER, {"name": "T"}, content_type="Application/JSON; charset=utf-8").status == 201
    )
    assert problem(ask("POST", "/api/v1/cups", USER))[:2] == (400, "body-needed")


def test_a_body_over_the_routes_limit_is_refused() -> None:
    assert problem(ask("PUT", "/api/v1/cups/x", ADMIN, {"a": "x" * 1000})) == (413, "too-large", None)
    assert TABLE.body_limit("PUT", "/api/v1/cups/x") == 1000
    assert TABLE.body_limit("POST", "/nowhere") == 65_536


def test_an_upload_comes_as_it_is() -> None:
    assert ask("PUT", "/api/v1/image", ADMIN, b"\x00\x01", content_type="application/octet-stream").body == b"\x00\x01"


def test_paths_and_methods() -> None:
    assert problem(ask("GET", "/api/v1/saucers")) == (404, "not-found", None)
    assert problem(ask("GET", "/api/v1/cups/a/b")) == (404, "not-found", None)
    assert problem(ask("GET", "/api/v1/cups/")) == (404, "not-found", None)
    assert problem(ask("GET", "/api/v1/cups/a%2Fb")) == (404, "not-found", None)
    assert problem(ask("GET", "/api/v1/cups/a%00b")) == (404, "not-found", None)
    refused = ask("PATCH", "/api/v1/cups/x")
    assert problem(refused) == (405, "method-not-allowed", None)
    assert refused.allow == "DELETE, GET, HEAD, PUT"
    assert said(ask("GET", "/api/v1/cups/caf%C3%A9"))["params"] == {"id": "café"}
    assert said(ask("GET", "/api/v1/cups.csv"))["params"] == {}
    assert ask("HEAD", "/api/v1/cups/x").status == 200


def test_unknown_and_double_parameters_are_refused() -> None:
    assert said(ask("GET", "/api/v1/cups/x?from=1%202&to="))["query"] == {"from": "1 2", "to": ""}
    assert problem(ask("GET", "/api/v1/cups/x?fro=1")) == (400, "unknown-parameter", "fro")
    assert problem(ask("GET", "/api/v1/cups/x?from=1&from=2"))[:2] == (400, "bad-query")
    assert problem(ask("GET", "/api/v1/cups/x?from"))[:2] == (400, "bad-query")


def test_rights() -> None:
    assert problem(ask("POST", "/api/v1/cups", NOBODY, {"name": "T"}))[:2] == (401, "login-required")
    assert problem(ask("DELETE", "/api/v1/cups/x", USER))[:2] == (403, "not-allowed")
    assert ask("DELETE", "/api/v1/cups/x", ADMIN).status == 204
    assert ask("DELETE", "/api/v1/cups/x", FAR_ADMIN).status == 204
    assert problem(ask("PUT", "/api/v1/cups/x", FAR_ADMIN, {}))[:2] == (403, "site-only")
    assert ask("PUT", "/api/v1/cups/x", ADMIN, {"a": 1}).status == 200
    assert problem(ask("PUT", "/api/v1/image", FAR_ADMIN, b"x"))[:2] == (403, "loopback-only")


def test_the_right_is_checked_before_the_body_is_read() -> None:
    assert problem(ask("POST", "/api/v1/cups", NOBODY, b"{", content_type="text/plain"))[0] == 401


def test_what_goes_wrong_inside_becomes_a_problem() -> None:
    assert problem(ask("GET", "/api/v1/fail/problem")) == (409, "exists", "name")
    assert said(ask("GET", "/api/v1/fail/problem"))["detail"] == "there is a cup Tom already"
    assert problem(ask("GET", "/api/v1/fail/config")) == (422, "invalid-field", "circuits.a")
    assert problem(ask("GET", "/api/v1/fail/full")) == (507, "storage-disk-full", None)
    assert problem(ask("GET", "/api/v1/fail/silent")) == (502, "failed", None)


def test_a_bug_is_logged_and_tells_the_asker_nothing() -> None:
    for how in ("bug", "sql", "no such key"):
        with capturedLogs() as logs:
            answer = ask("GET", f"/api/v1/fail/{how}")
        assert problem(answer) == (500, "internal", None)
        assert b"secret" not in answer.body
        assert [each["log_level"].name for each in logs] == ["critical"]


def test_a_wished_language_counts_more_than_the_callers() -> None:
    assert said(ask("GET", "/api/v1/cups/x", headers={"accept-language": "de"}))["language"] == "de"
    assert said(ask("GET", "/api/v1/cups/x", Caller(Role.USER, language="fr")))["language"] == "fr"


def test_streams_pass_through() -> None:
    assert isinstance(wait(TABLE.answer(RawRequest("GET", "/api/v1/events"), NOBODY)), Stream)


def test_two_routes_for_one_address_are_a_mistake() -> None:
    route = Route("GET", "/a/{b}", Right.USER, echo, "")
    with pytest.raises(ValueError, match="two routes"):
        RouteTable([route, Route("GET", "/a/{c}", Right.USER, echo, "")], "T")


def test_not_finite_numbers_leave_as_null() -> None:
    async def odd(_: Call) -> object:
        return {"free_a": [float("inf"), float("nan"), 1.5], "set": frozenset({"b", "a"}), "when": None}

    table = RouteTable([Route("GET", "/a", Right.ANYBODY, odd, "")], "T")
    answer = wait(table.answer(RawRequest("GET", "/a"), NOBODY))
    assert json.loads(answer.body) == {"free_a": [None, None, 1.5], "set": ["a", "b"], "when": None}


def test_the_openapi_file_says_it_all() -> None:
    described = TABLE.openapi()
    json.dumps(described)
    assert described["openapi"] == "3.1.0"
    post = described["paths"]["/api/v1/cups"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Cup"}
    assert set(post["responses"]) == {"201", "default"}
    cup = described["components"]["schemas"]["Cup"]
    assert cup["required"] == ["name"]
    assert cup["properties"]["handles"] == {"type": "array", "items": {"$ref": "#/components/schemas/Handle"}}
    assert cup["properties"]["code"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    change = described["paths"]["/api/v1/cups/{id}"]["put"]
    assert (change["x-right"], change["x-remote"]) == ("admin", "site only")
    assert described["paths"]["/api/v1/image"]["put"]["x-remote"] == "loopback only"
    assert [each["name"] for each in described["paths"]["/api/v1/cups/{id}"]["get"]["parameters"]] == [
        "id",
        "from",
        "to",
    ]
