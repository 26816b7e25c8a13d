"""Turns are told once each and in order, whoever tells them."""

import os
import threading

from holdfast.turns import Turns


def test_each_turn_is_told_once_and_they_alternate():
    told: list[bool] = []
    turns = Turns()
    turns.tell(lambda: 3, told.append)
    turns.tell(lambda: 3, told.append)
    turns.tell(lambda: 4, told.append)
    assert told == [True, False, True, False]


def test_a_turn_during_a_telling_is_told_after_it_by_who_tells():  # EB-04, D-EB-4
    count, told = 1, []
    turns = Turns()

    def tell(away: bool) -> None:
        nonlocal count
        told.append((away, threading.current_thread().name))
        if count == 1:
            count = 2
            other = threading.Thread(target=turns.tell, args=(lambda: count, tell), name="other")
            other.start()
            other.join(30)
            told.append("the first telling goes on")

    turns.tell(lambda: count, tell)
    me = threading.current_thread().name
    assert told == [(True, me), "the first telling goes on", (False, me)]


def test_an_interrupted_telling_leaves_the_next_turns_to_be_told():
    told: list[bool] = []
    turns = Turns()

    def interrupt(away: bool) -> None:
        raise KeyboardInterrupt

    try:
        turns.tell(lambda: 2, interrupt)
    except KeyboardInterrupt:
        turns.tell(lambda: 2, told.append)
    assert told == [False]


def test_a_child_forked_during_a_telling_can_tell():
    turns = Turns()
    children: list[int] = []

    def fork(away: bool) -> None:
        pid = os.fork()
        if pid == 0:
            told: list[bool] = []
            turns.tell(lambda: 2, told.append)
            os._exit(0 if told == [False] else 1)
        children.append(pid)

    turns.tell(lambda: 1, fork)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
