"""Changes are told once each and in order, whoever finds them."""

import os
import threading

import pytest

from holdfast.policies.telling import Telling


def test_each_change_is_told_once_and_in_order():
    told: list[tuple[int, bool]] = []
    telling = Telling()
    for found in ([(1, True), (1, False)], [], [(2, True)]):
        telling.change(lambda found=found: found, lambda *change: told.append(change))
    assert told == [(1, True), (1, False), (2, True)]


def test_a_change_found_during_a_telling_is_told_after_it_by_who_tells():  # EB-04, D-EB-4
    told: list[object] = []
    telling = Telling()

    def tell(number: int, _true: bool) -> None:
        told.append((number, threading.current_thread().name))
        if number == 1:
            arguments = (lambda: [(2, True)], tell)
            other = threading.Thread(target=telling.change, args=arguments, name="other")
            other.start()
            other.join(30)
            told.append("the first telling goes on")

    telling.change(lambda: [(1, True)], tell)
    me = threading.current_thread().name
    assert told == [(1, me), "the first telling goes on", (2, me)]


def test_an_interrupted_telling_leaves_the_next_changes_to_be_told():
    told: list[int] = []
    telling = Telling()

    def interrupt(number: int, _true: bool) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        telling.change(lambda: [(1, True), (2, True)], interrupt)
    telling.change(lambda: [(3, True)], lambda number, _: told.append(number))
    assert told == [2, 3]


def test_a_child_forked_during_a_telling_can_tell():
    telling = Telling()
    children: list[int] = []

    def fork(_number: int, _true: bool) -> None:
        pid = os.fork()
        if pid == 0:
            told: list[int] = []
            telling.change(lambda: [(2, True)], lambda number, _: told.append(number))
            os._exit(0 if told == [2] else 1)
        children.append(pid)

    telling.change(lambda: [(1, True)], fork)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
