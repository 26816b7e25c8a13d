"""Dead workers are added to the totals once, whoever does it and wherever he dies."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stores.crew import assert_none_fell

STEPS = 40  # a merge of two files touches the directory fewer times


@pytest.mark.parametrize("command", ["die_at", "die_at_in_tidy"])  # by a scrape, by a start
def test_who_dies_while_merging_loses_nothing_and_counts_nothing_twice(start, command):  # trap 57
    whole, survivor = 0, start()
    for step in range(1, STEPS + 1):
        merger = start()
        survivor("call", "b", 1)
        expected = survivor.calls("b")
        for _ in range(2):
            survivor("child", "b", 10)  # and its file is left
        before = survivor.scrape()
        assert survivor.calls("b") == expected + 20
        for _ in range(2):
            survivor("child", "b", 100)
        merger("call", "b", 0)
        merger.begin(command, step)
        whole += merger.process.stdout.readline() != ""
        merger.process.wait() if not whole else merger.kill()
        assert_none_fell(before, survivor.scrape())
        for _ in range(2):
            assert survivor.calls("b") == expected + 220
        if whole:
            break
    assert whole, "the merge has more steps than were tried"


def test_two_that_merge_at_once_count_nothing_twice(start):
    mergers = [start() for _ in range(3)]
    mergers[0]("call", "b", 1)
    with ThreadPoolExecutor(len(mergers)) as pool:
        for turn in range(1, 6):
            for _ in range(2):
                mergers[0]("child", "b", 10)
            for found in pool.map(lambda worker: worker.calls("b"), mergers):
                assert found == 1 + 20 * turn


@pytest.mark.stress
def test_no_scrape_sees_a_fall_while_others_merge(start, stress_scale):
    scrapers = [start(), start()]
    scrapers[0]("call", "b", 1)

    def watch(worker):
        last = worker.scrape()
        for _ in range(40 * stress_scale):
            found = worker.scrape()
            assert_none_fell(last, found)
            last = found
        return True

    with ThreadPoolExecutor(2) as pool:
        watching = [pool.submit(watch, worker) for worker in scrapers]
        dead = 0
        while not all(one.done() for one in watching):
            worker = start()
            worker("call", "b", 1)
            worker.kill()
            dead += 1
        assert all(one.result() for one in watching)
    assert scrapers[0].calls("b") == 1 + dead
