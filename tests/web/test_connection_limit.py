"""Which connections have places: without a server, one step at a time."""

from __future__ import annotations

from exporter.metrics import CONNECTIONS
from exporter.own_metrics import OwnMetrics
from exporter.settings.options import HttpLimits
from exporter.web.connection_limit import ConnectionLimit
from exporter.web.refusals import Refusals
from tests.own import own_value


class Connected:
    """A connection that leaves when it is ended."""

    def __init__(self, door: ConnectionLimit) -> None:
        self.door = door
        self.ended = False

    def end(self) -> None:
        self.ended = True
        self.door.release(self)


def open_door(places: int) -> tuple[ConnectionLimit, OwnMetrics]:
    own = OwnMetrics()
    return ConnectionLimit(HttpLimits(connections=places, subscribers=1), Refusals(own), lambda: None, own), own


def test_the_one_idle_for_longest_makes_room_however_often_it_is_noted() -> None:
    door, own = open_door(3)
    first, second, third, fourth = (Connected(door) for _ in range(4))
    for each in (first, second, third):
        assert door.admit(each)
    door.set_busy(first, busy=True)
    for _ in range(2):
        door.set_busy(first, busy=False)  # idle for the shortest time now
        door.set_busy(second, busy=False)  # as it was all the time
    assert door.admit(fourth)
    assert [each.ended for each in (first, second, third, fourth)] == [False, True, False, False]
    assert own_value(own, CONNECTIONS) == 3


def test_nobody_makes_room_who_is_busy_however_often_it_is_noted() -> None:
    door, own = open_door(2)
    first, second, third = (Connected(door) for _ in range(3))
    for each in (first, second):
        assert door.admit(each)
        door.set_busy(each, busy=True)
        door.set_busy(each, busy=True)
    assert not door.admit(third)
    door.set_busy(first, busy=False)
    assert door.admit(third)
    assert [each.ended for each in (first, second, third)] == [True, False, False]
    assert own_value(own, CONNECTIONS) == 2


def test_whoever_has_left_takes_no_place_if_noted_idle_once_more() -> None:
    door, own = open_door(2)
    gone = Connected(door)
    assert door.admit(gone)
    door.release(gone)
    door.set_busy(gone, busy=False)
    assert own_value(own, CONNECTIONS) == 0
    stays = Connected(door)
    assert door.admit(stays)
    assert door.admit(Connected(door))
    assert not stays.ended
