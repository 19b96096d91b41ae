from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from charging_manager.agent.fallbacks import fallback_currents
from charging_manager.model.site import ChargePoint, Circuit, Site


def site(fallback_a: float, *boxes: ChargePoint, sub_a: float = 100.0) -> Site:
    limit = (100.0, 100.0, 100.0)
    circuits = {
        "main": Circuit("main", "Main", None, limit, fallback_a=fallback_a),
        "sub": Circuit("sub", "Sub", "main", limit, fallback_a=sub_a),
    }
    return Site("S", "1", circuits, {box.id: box for box in boxes})


def test_with_no_fallback_current_every_box_stops() -> None:
    assert fallback_currents(site(0.0, ChargePoint("a", "A", "main"))) == {"a": 0.0}


def test_one_box_gets_all_that_its_circuit_may_draw() -> None:
    assert fallback_currents(site(20.0, ChargePoint("a", "A", "main", max_a=16.0))) == {"a": 16.0}


def test_boxes_on_different_phases_do_not_share() -> None:
    boxes = [ChargePoint(name, name, "main", phases=(phase,)) for phase, name in enumerate("abc")]
    assert fallback_currents(site(10.0, *boxes)) == {"a": 10.0, "b": 10.0, "c": 10.0}


def test_higher_priority_comes_first_where_not_all_fit() -> None:
    low, high = ChargePoint("a", "A", "main"), ChargePoint("b", "B", "main", priority=1)
    assert fallback_currents(site(10.0, low, high)) == {"a": 0.0, "b": 10.0}


def test_a_box_out_of_service_takes_nothing() -> None:
    away, here = ChargePoint("a", "A", "main", out_of_service=True), ChargePoint("b", "B", "main")
    assert fallback_currents(site(7.0, away, here)) == {"a": 0.0, "b": 7.0}


boxes = st.lists(
    st.builds(
        ChargePoint,
        id=st.integers(0, 10**6).map(str),
        name=st.just("x"),
        circuit=st.sampled_from(["main", "sub"]),
        phases=st.sampled_from([(0,), (1,), (2,), (0, 1, 2), (1, 2, 0)]),
        max_a=st.sampled_from([10.0, 16.0, 32.0]),
        priority=st.integers(0, 2),
    ),
    max_size=12,
    unique_by=lambda box: box.id,
)


@settings(max_examples=60, deadline=None)
@given(boxes, st.floats(0, 100), st.floats(0, 100))
def test_the_sum_fits_on_every_phase_of_every_circuit(chosen: list[ChargePoint], main_a: float, sub_a: float) -> None:
    given_a = fallback_currents(site(main_a, *chosen, sub_a=sub_a))
    for circuit, limit_a in (("main", main_a), ("sub", sub_a)):
        for phase in range(3):
            below = [box for box in chosen if phase in box.phases and circuit in ("main", box.circuit)]
            assert sum(given_a[box.id] for box in below) <= limit_a + 1e-6
    for box in chosen:
        assert given_a[box.id] == 0 or box.min_a <= given_a[box.id] <= box.max_a
