"""Whatever somebody writes into a driver file, the answer is a driver or a reason, never a crash."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from charging_manager.devices.loader import check_text
from charging_manager.devices.parse import NotADriver, parse_driver
from charging_manager.paths import shared
from tests.support.strategies import examples

TABLES = {path.stem: tomllib.loads(path.read_text()) for path in sorted(shared("drivers").glob("*.toml"))}
TEXTS = [path.read_text() for path in sorted(shared("drivers").glob("*.toml"))]

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(-5, 70000), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.sampled_from(["state", "from", "to", "register", "x", ""]), st.integers(-3, 300), max_size=3),
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(node, dict):
        for key, value in node.items():
            found += places(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            found += places(value, (*path, number))
    return found


@given(data=st.data())
@examples(300, 20000)
def test_a_table_with_one_thing_replaced_is_a_driver_or_has_reasons(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TABLES)))
    table = copy.deepcopy(TABLES[name])
    path = data.draw(st.sampled_from(places(table)))
    node: Any = table
    for key in path[:-1]:
        node = node[key]
    value = data.draw(junk)
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    try:
        parse_driver(table, name)
    except NotADriver as error:
        assert error.problems
        assert all(isinstance(where, str) and sentence for where, sentence in error.problems)


@given(data=st.data())
@examples(100, 5000)
def test_a_text_cut_or_garbled_is_a_driver_or_has_reasons(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    garbled = text[:start] + data.draw(st.text(max_size=5)) + text[end:]
    assert all(problem for problem in check_text(garbled, "acme"))
