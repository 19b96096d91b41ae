from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from charging_manager.agent.polling import Poller, StorageLock, Wanted
from charging_manager.errors import DeviceError, DeviceNonsense, DeviceSilent
from charging_manager.model.reading import Obedience, Reading


class FakeDevice:
    """Answers when told to."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.reads = 0
        self.applied: list[float] = []
        self.fallback_a = 0.0
        self.confirmed_a: float | None = 0.0
        self.closed = False
        self.phases: int | None = None
        self.locks: list[bool] = []
        self.storage_locked: bool | None = None
        self.slow: Deferred[None] | None = None
        self.slow_to_obey: Deferred[None] | None = None

    async def read(self) -> Reading:
        self.reads += 1
        if self.slow is not None:
            await self.slow
        if self.trouble:
            raise self.trouble
        return Reading("garage", float(self.reads))

    async def apply(self, setpoint_a: float, phases: int | None = None) -> None:
        self.applied.append(setpoint_a)
        self.phases = phases
        if self.slow_to_obey is not None:
            await self.slow_to_obey
        if self.trouble:
            raise self.trouble

    async def lock_storage(self, locked: bool) -> None:
        self.locks.append(locked)
        if self.trouble:
            raise self.trouble
        self.storage_locked = locked

    def obedience(self, now_s: float) -> Obedience:
        return Obedience(32.0, confirmed_a=self.confirmed_a)

    def use_fallback(self, fallback_a: float) -> None:
        self.fallback_a = fallback_a

    def close(self) -> None:
        self.closed = True


def polled(device: FakeDevice) -> tuple[Poller, Clock, list[Reading]]:
    clock, heard = Clock(), list[Reading]()
    poller = Poller("garage", device, heard.append, clock)
    poller.start()
    clock.advance(0)
    return poller, clock, heard


def test_a_device_is_read_every_second() -> None:
    device = FakeDevice()
    poller, clock, heard = polled(device)
    assert poller.answering
    clock.pump([1.0] * 3)
    assert len(heard) == 4


def test_a_device_that_answers_nonsense_is_asked_less_often() -> None:
    device = FakeDevice()
    device.trouble = DeviceNonsense("this is no Acme")
    poller, clock, heard = polled(device)
    clock.pump([1.0] * 60)
    assert heard == [] and not poller.answering
    assert 10 <= device.reads <= 16


def test_a_device_that_comes_back_is_heard_within_a_second() -> None:
    device = FakeDevice()
    device.trouble = DeviceSilent("nothing")
    poller, clock, heard = polled(device)
    clock.pump([1.0] * 60)
    device.trouble = None
    clock.advance(1)
    assert len(heard) == 1 and poller.answering


def test_a_slow_device_is_not_asked_again_before_it_answered() -> None:
    device = FakeDevice()
    device.slow = Deferred()
    _poller, clock, heard = polled(device)
    clock.pump([1.0] * 5)
    assert device.reads == 1
    device.slow.callback(None)
    device.slow = None
    clock.advance(1)
    assert device.reads == 2 and len(heard) == 2


def test_whatever_goes_wrong_the_loop_goes_on() -> None:
    device = FakeDevice()
    _poller, clock, heard = polled(device)
    device.trouble = RuntimeError("a bug in a driver's hook")
    clock.advance(1)
    device.trouble = None
    clock.pump([1.0] * 2)
    assert len(heard) == 3


def test_the_newest_setpoint_overtakes_older_ones() -> None:
    device = FakeDevice()
    poller, _clock, _ = polled(device)
    device.slow_to_obey = Deferred()
    for amps in (16.0, 12.0, 6.0):
        poller.want(Wanted(amps))
    assert device.applied == [16.0]
    waiting, device.slow_to_obey = device.slow_to_obey, None
    waiting.callback(None)
    assert device.applied == [16.0, 6.0]


def test_a_refused_setpoint_is_tried_again_with_the_next_cycle() -> None:
    device = FakeDevice()
    poller, _, _ = polled(device)
    device.trouble = DeviceError("refused")
    poller.want(Wanted(16.0))
    device.trouble = None
    poller.want(Wanted(16.0))
    assert device.applied == [16.0, 16.0]


def test_stopping_leaves_the_device_on_the_last_setpoint_given() -> None:
    device = FakeDevice()
    poller, clock, _heard = polled(device)
    Deferred.fromCoroutine(poller.leave_at(Wanted(6.0)))
    poller.want(Wanted(32.0))
    clock.pump([1.0] * 3)
    assert device.applied == [6.0] and device.reads == 1 and device.closed


def test_a_device_that_takes_its_last_setpoint_later_is_waited_for() -> None:
    device = FakeDevice()
    device.confirmed_a = 32.0
    poller, clock, _ = polled(device)
    leaving = Deferred.fromCoroutine(poller.leave_at(Wanted(6.0)))
    clock.pump([1.0] * 5)
    assert not leaving.called and not device.closed
    device.confirmed_a = 6.0
    clock.advance(1)
    assert leaving.called and device.closed


def test_what_was_brought_is_not_brought_again() -> None:
    device = FakeDevice()
    poller, _, _ = polled(device)
    for wish in (Wanted(16.0), Wanted(16.0), Wanted(16.0, 1), Wanted(16.0, 1), Wanted(8.0), Wanted(16.0)):
        poller.want(wish)
    assert device.applied == [16.0, 16.0, 8.0, 16.0] and device.phases is None
    device.slow_to_obey = Deferred()
    poller.want(Wanted(6.0))
    poller.want(Wanted(16.0))  # it was on 16 A before, but 6 A are on their way
    waiting, device.slow_to_obey = device.slow_to_obey, None
    waiting.callback(None)
    assert device.applied[-2:] == [6.0, 16.0]


def test_after_somebody_had_the_device_alone_the_newest_setpoint_is_brought_again() -> None:
    device = FakeDevice()
    poller, _, _ = polled(device)
    poller.want(Wanted(16.0))
    tried: Deferred[None] = Deferred()

    async def work(_: object) -> None:
        await tried

    done = Deferred.fromCoroutine(poller.alone(work))
    poller.want(Wanted(10.0))
    poller.want(Wanted(16.0))
    assert device.applied == [16.0]
    tried.callback(None)
    assert done.called and device.applied == [16.0, 16.0]


def test_a_storage_battery_is_locked_and_released_when_we_leave() -> None:
    device = FakeDevice()
    poller, _, _ = polled(device)
    device.trouble = DeviceError("busy")
    poller.want(StorageLock(True))
    device.trouble = None
    poller.want(StorageLock(True))
    poller.want(StorageLock(True))
    assert device.locks == [True, True] and device.storage_locked
    leaving = Deferred.fromCoroutine(poller.leave_at(StorageLock(False)))
    assert leaving.called and device.locks[-1] is False and device.closed
