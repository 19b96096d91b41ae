"""What a simulated device shows, obeys, refuses and remembers."""

from __future__ import annotations

import attrs
import pytest
from twisted.internet.testing import StringTransport

from charging_manager.devices.codec import decode_all, encode
from charging_manager.devices.driver import BusRules, Driver
from charging_manager.devices.planner import plan_reads
from charging_manager.errors import ConfigError, DeviceError, DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.modbus.bus import Bus
from charging_manager.modbus.lines import TcpLine
from charging_manager.modbus.transaction import TcpConversation
from charging_manager.model.reading import Status
from charging_manager.sim.car import Car
from tests.sim.rigs import CHARGERS, DRIVERS, METERS, Bench


def patient(name: str) -> Driver:
    """The driver without gaps between requests, for tests that ask much at one time."""
    driver = DRIVERS[name]
    return attrs.evolve(driver, bus=attrs.evolve(driver.bus, gap_s=0.0, write_gap_s=0.0))


def values(bench: Bench) -> dict[str, object]:
    """Everything that the driver can read, decoded by it."""
    driver, words = bench.simulator.driver, {}
    shift = bench.simulator._image.shift
    for request in plan_reads(driver, driver.registers.values()):
        unit, address = request.unit or bench.simulator.unit, request.address + shift
        words.update(request.cut(bench.get(bench.bus.read(unit, request.function, address, request.count))))
    return dict(decode_all(driver, words))


def write(bench: Bench, name: str, value: float) -> None:
    """As a client would."""
    register = bench.driver.registers[name]
    assert register.write_function is not None
    bench.get(bench.bus.write(bench.simulator.unit, register.write_function, register.address, encode(register, value)))


@pytest.mark.parametrize("name", CHARGERS + METERS)
def test_a_simulated_device_is_recognised_by_its_own_driver_and_by_no_other(name: str) -> None:
    shown = values(Bench(patient(name)))
    assert all(condition.holds(shown) for condition in DRIVERS[name].identify)


@pytest.mark.parametrize("name", CHARGERS)
@pytest.mark.parametrize("status", [Status.FREE, Status.PLUGGED, Status.CHARGING])
def test_the_state_codes_mean_what_is_so(name: str, status: Status) -> None:
    bench = Bench(patient(name))
    if status is not Status.FREE:
        bench.simulator.plug(Car(wants_a=0.0 if status is Status.PLUGGED else 16.0))
        bench.run(8)
    rule = DRIVERS[name].state
    assert rule is not None
    assert rule.status(values(bench)) == (status, True)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CHARGERS)
def test_a_charge_point_shows_what_its_car_draws(name: str) -> None:
    bench = Bench(patient(name))
    bench.simulator.plug(Car(wants_a=12.0))
    bench.run(10)
    shown = values(bench)
    for phase, amps in enumerate((12.0, 11.85, 11.7), 1):
        assert shown[f"current_l{phase}_a"] == pytest.approx(amps, abs=0.1)
    assert shown["power_w"] == pytest.approx(12 * 230.4 + 11.85 * 229.6 + 11.7 * 231.2, rel=0.01)


@pytest.mark.parametrize("name", METERS)
def test_a_meter_shows_what_flows_with_its_direction(name: str) -> None:
    bench = Bench(patient(name), source=lambda: (20.0, -5.0, 0.5))
    bench.run(1)
    shown = values(bench)
    assert [shown[f"power_l{phase}_w"] for phase in (1, 2, 3)] == pytest.approx([4608.0, -1148.0, 115.6], abs=1)
    assert [shown[f"current_l{phase}_a"] for phase in (1, 2, 3)] == pytest.approx([20.0, 5.0, 0.5], abs=0.01)
    assert shown["power_w"] == pytest.approx(3575.6, abs=1)


@pytest.mark.parametrize("name", CHARGERS)
def test_a_setpoint_is_obeyed_a_pause_too_and_the_end_of_a_pause(name: str) -> None:
    bench = Bench(patient(name))
    rule = bench.driver.setpoint
    assert rule is not None
    outlet = bench.simulator.outlet()
    bench.simulator.plug(Car())
    bench.run(8)
    write(bench, rule.register, 8.0)
    bench.run(6)
    assert outlet.current_a[0] == 8.0
    for each in rule.pause:
        write(bench, each.register, each.value)
    bench.run(3)
    assert outlet.current_a == (0.0, 0.0, 0.0)
    for each in rule.resume:
        write(bench, each.register, each.value)
    write(bench, rule.register, 10.0)
    bench.run(8)
    assert outlet.current_a[0] == 10.0
    assert bench.simulator.violations == []


@pytest.mark.parametrize("name", CHARGERS)
def test_a_box_that_is_not_fed_falls_back(name: str) -> None:
    bench = Bench(patient(name))
    watchdog = bench.driver.watchdog
    assert watchdog is not None and watchdog.timeout_write is not None
    write(bench, watchdog.timeout_write, 15.0)
    if watchdog.fallback_write is not None:
        write(bench, watchdog.fallback_write, 6.0)
    bench.simulator.plug(Car())
    bench.run(13)
    assert bench.simulator.truth()["offered_a"] == 16.0
    bench.run(3)
    truth = bench.simulator.truth()
    assert truth["watchdog_expired"]
    assert truth["offered_a"] == (6.0 if watchdog.fallback_write else 0.0)


def test_any_good_request_feeds_a_box_that_says_so() -> None:
    bench = Bench(patient("heidelberg-energy-control"))
    for _ in range(20):
        bench.run(10)
        bench.get(bench.bus.read(1, 4, 5, 1))
    assert not bench.simulator.truth()["watchdog_expired"]


def test_reading_alone_does_not_feed_a_box_that_wants_writes() -> None:
    bench = Bench(patient("keba-p30"))
    write(bench, "failsafe_s_set", 20.0)
    for _ in range(3):
        bench.run(10)
        bench.get(bench.bus.read(1, 3, 1000, 2))
    assert bench.simulator.truth()["watchdog_expired"]
    write(bench, "failsafe_s_set", 20.0)
    assert not bench.simulator.truth()["watchdog_expired"]


def test_switching_phases_takes_the_time_it_takes_and_is_a_violation_under_load() -> None:
    bench = Bench(patient("cfos-power-brain"))
    bench.simulator.plug(Car())
    bench.run(8)
    write(bench, "enable", 0)
    bench.run(3)
    write(bench, "phases_set", 1)
    write(bench, "enable", 1)
    bench.run(4)
    assert bench.simulator.outlet().current_a == (0.0, 0.0, 0.0)
    bench.run(10)
    assert bench.simulator.outlet().current_a == (16.0, 0.0, 0.0)
    assert bench.simulator.violations == []
    write(bench, "phases_set", 0)
    assert bench.simulator.violations == [
        "phases_set written while current flowed",
        "phases_set written again too soon",
    ]


def refused(bench: Bench, function: int, address: int, count: int = 1) -> int:
    """The exception code of this read."""
    with pytest.raises(DeviceRefused) as caught:
        bench.get(bench.bus.read(1, function, address, count))
    return caught.value.code


def test_it_refuses_what_the_device_refuses() -> None:
    keba, sdm = Bench(patient("keba-p30")), Bench(patient("eastron-sdm630"))
    assert refused(keba, 3, 1001, 1) == 2  # half a value
    assert refused(keba, 3, 1002, 2) == 2  # nothing there
    assert refused(keba, 3, 1000, 4) == 3  # two values, more than it gives at once
    assert refused(keba, 1, 1000, 1) == 1  # no coils at all
    assert refused(sdm, 4, 0, 82) == 3
    assert refused(sdm, 4, 5000, 2) == 2
    assert sdm.get(sdm.bus.read(1, 4, 34, 16))[2:14] == [0] * 12  # it allows gaps
    assert keba.simulator.refused == 4
    assert "half of state" in keba.simulator.refusals[0]


def test_it_refuses_values_outside_the_register_and_writes_to_what_is_only_read() -> None:
    bench = Bench(patient("heidelberg-energy-control"))
    for value in (50, 170):
        with pytest.raises(DeviceRefused, match="data value"):
            bench.get(bench.bus.write(1, 6, 261, [value]))
    with pytest.raises(DeviceRefused, match="data address"):
        bench.get(bench.bus.write(1, 6, 5, [1]))
    with pytest.raises(DeviceRefused, match="function"):
        bench.get(bench.bus.write(1, 16, 261, [100]))
    assert bench.simulator.truth()["setpoint_a"] == 16.0


def test_too_early_is_busy_or_silence_and_is_counted() -> None:
    for early, error in (("busy", DeviceRefused), ("silent", DeviceSilent)):
        bench = Bench("keba-p30", early=early)
        bench.get(bench.bus.read(1, 3, 1000, 2, gap_s=0.5))
        bench.run(0.1)
        with pytest.raises(error):
            bench.get(bench.bus.read(1, 3, 1000, 2, timeout_s=0.15))
        assert bench.simulator.early >= 1
        bench.run(3)
        assert bench.get(bench.bus.read(1, 3, 1000, 2, gap_s=0.5)) == [0, 1]


def test_clients_are_judged_each_by_itself() -> None:
    bench = Bench("keba-p30")
    other = Bus(TcpLine("box", 502, "tcp://box:502", bench.clock, bench.endpoint), TcpConversation(), bench.clock)
    for bus in (bench.bus, other):
        assert bench.get(bus.read(1, 3, 1000, 2)) == [0, 1]
    assert bench.simulator.early == 0


def test_a_register_written_again_too_soon_is_refused_and_counted() -> None:
    bench = Bench(attrs.evolve(DRIVERS["keba-p30"], bus=attrs.evolve(DRIVERS["keba-p30"].bus, gap_s=0.0)))
    write(bench, "setpoint_a", 10.0)
    with pytest.raises(DeviceRefused, match="busy"):
        write(bench, "setpoint_a", 11.0)
    write(bench, "enable", 1)
    bench.run(5)
    write(bench, "setpoint_a", 12.0)
    assert bench.simulator.early_writes == 1
    assert bench.simulator.truth()["setpoint_a"] == 12.0


def test_writes_that_wear_the_flash_are_counted_and_forbidden_ones_are_violations() -> None:
    cfos, abb = Bench(patient("cfos-power-brain")), Bench(patient("abb-terra-ac"))
    write(cfos, "failsafe_a", 8.0)
    write(cfos, "setpoint_a", 8.0)
    assert cfos.simulator.flash_writes == 1
    with pytest.raises(DeviceRefused):
        abb.get(abb.bus.write(1, 6, 0x4105, [1]))
    assert "stop" in abb.simulator.violations[0]


def test_more_clients_than_the_device_takes_are_turned_away() -> None:
    bench = Bench(attrs.evolve(patient("keba-p30"), bus=BusRules(clients=1, alone=True, max_read=2)))
    bench.get(bench.bus.read(1, 3, 1000, 2))
    second = bench.endpoint.factory.buildProtocol(None)
    transport = StringTransport()
    transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
    second.makeConnection(transport)
    assert transport.disconnecting
    assert bench.endpoint.factory.refused_clients == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"silence": True}, DeviceSilent),
        ({"delay_ms": 2000}, DeviceSilent),
        ({"half_frame": True}, DeviceSilent),
        ({"wrong_unit": True}, DeviceNonsense),
        ({"exception": 6}, DeviceRefused),
        ({"exception": 10}, DeviceSilent),
        ({"exception": 11}, DeviceSilent),
    ],
)
def test_faults_look_to_the_client_as_they_should(fault: dict[str, object], error: type[DeviceError]) -> None:
    bench = Bench(patient("eastron-sdm630"))
    bench.get(bench.bus.read(1, 4, 0, 2))
    bench.simulator.change(fault)
    with pytest.raises(error):
        bench.get(bench.bus.read(1, 4, 0, 2, timeout_s=0.5))
    off = {key: None if key == "exception" else 0 if key == "delay_ms" else False for key in fault}
    bench.simulator.change(off)
    bench.run(5)
    assert len(bench.get(bench.bus.read(1, 4, 0, 2))) == 2


def test_a_broken_sensor_shows_what_the_device_shows_for_unknown() -> None:
    sdm, sun = Bench(patient("eastron-sdm630")), Bench(patient("sunspec-meter-203"))
    for bench in (sdm, sun):
        bench.simulator.change({"nan": True})
        shown = values(bench)
        assert shown["current_l1_a"] is None
        assert shown["power_w"] is None
        bench.simulator.change({"nan": ["power_w"]})
        shown = values(bench)
        assert shown["current_l1_a"] is not None
        assert shown["power_w"] is None


def test_a_frozen_meter_goes_on_showing_what_it_showed_last_however_seldom_it_is_read() -> None:
    bench = Bench(patient("janitza-umg-float"))
    bench.simulator.change({"extra_a": [5, 5, 5]})
    bench.run(60)
    before = values(bench)
    bench.run(60)
    bench.simulator.change({"frozen": True, "extra_a": [9, 9, 9]})
    bench.run(60)
    assert values(bench) == before
    bench.simulator.change({"frozen": False})
    assert values(bench) != before


def test_a_restart_forgets_the_setpoint_is_silent_and_counts_from_zero_for_a_while() -> None:
    bench = Bench(patient("cfos-power-brain"))
    write(bench, "setpoint_a", 8.0)
    write(bench, "failsafe_a", 7.0)
    bench.simulator.change({"restart": True})
    with pytest.raises(DeviceSilent):
        bench.get(bench.bus.read(1, 3, 8092, 1, timeout_s=0.3))
    bench.run(4)
    truth = bench.simulator.truth()
    assert truth["setpoint_a"] == 16.0
    assert truth["fallback_a"] == 7.0  # in flash
    assert values(bench)["energy_wh"] is None  # this box's 0
    bench.run(10)
    assert values(bench)["energy_wh"] == pytest.approx(1234567, abs=2)


def test_a_sunspec_meter_is_found_by_its_chain() -> None:
    bench = Bench(patient("sunspec-meter-203"))
    assert bench.get(bench.bus.read(1, 3, 40000, 4)) == [0x5375, 0x6E53, 1, 66]
    assert bench.get(bench.bus.read(1, 3, 40070, 2)) == [203, 105]
    assert bench.get(bench.bus.read(1, 3, 40177, 2)) == [0xFFFF, 0]


def test_what_it_cannot_do_is_named() -> None:
    charger, meter = Bench(patient("keba-p30")), Bench(patient("eastron-sdm630"))
    for bench, what, where in (
        (charger, {"colour": "red"}, "colour"),
        (charger, {"wants_a": 10}, "wants_a"),
        (charger, {"plugged": True, "wants_a": -1}, "wants_a"),
        (charger, {"shows": {"colour": 1}}, "shows.colour"),
        (charger, {"connector": 2, "plugged": True}, "connector"),
        (meter, {"plugged": True}, "plugged"),
    ):
        with pytest.raises(ConfigError) as caught:
            bench.simulator.change(what)
        assert caught.value.where == where
