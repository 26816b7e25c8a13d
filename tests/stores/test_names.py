"""More names than a collector may show: all workers show the same ones, and no counter falls."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.apart import run_apart
from tests.stores.crew import REQUESTS, Worker, assert_none_fell


def shown(scrape):
    """Return the names that have series of breakers, and how many calls each counts."""
    return {
        dict(labels)["name"]: value
        for (_, metric, labels), value in scrape.items()
        if metric == REQUESTS and dict(labels)["result"] == "success"
    }


@pytest.fixture
def two(start):
    """Two workers that have the same four names in opposite orders, and may show three."""
    workers = [start(), start()]
    for worker, names in zip(workers, ("abcd", "dcba"), strict=True):
        worker("bound", 3)
        for name in names:
            worker("call", name, 1)
    return workers


def test_workers_that_meet_names_in_different_orders_show_the_same(two):
    for turn in range(1, 4):
        for worker in two:
            worker("call", "a", 10)
            worker("call", "d", 1)
        expected = {"a": 2 + 20 * turn, "b": 2, "c": 2, "__other__": 2 + 2 * turn}
        assert [shown(worker.scrape()) for worker in two] == [expected, expected]


def test_a_worker_that_comes_later_shows_the_names_that_were_chosen_first(start):
    first, second = start(), start()
    for worker, names in ((first, "xyz"), (second, "abc")):
        worker("bound", 3)
        for name in names:
            worker("call", name, 1)
        before = worker.scrape()
    assert shown(before) == {"x": 1, "y": 1, "z": 1, "__other__": 3}
    second("bound", 2)
    assert shown(second.scrape()) == {"x": 1, "y": 1, "__other__": 4}
    second("bound", 4)
    assert shown(second.scrape()) == {"x": 1, "y": 1, "z": 1, "a": 1, "__other__": 2}
    assert_none_fell(before, first.scrape())


def test_a_new_living_name_gets_the_place_of_a_name_that_nobody_has(start):
    first, second = start(), start()
    for worker, names in ((first, "bc"), (second, "a")):
        worker("bound", 3)
        for name in names:
            worker("call", name, 1)
    assert shown(first.scrape()) == {"a": 1, "b": 1, "c": 1}
    second.kill()
    assert shown(first.scrape()) == {"a": 1, "b": 1, "c": 1}
    first("call", "d", 5)
    for worker in (first, start()):
        worker("bound", 3)
        assert shown(worker.scrape()) == {"b": 1, "c": 1, "d": 5, "__other__": 1}


def test_of_names_that_come_at_the_same_time_the_living_get_series(start):
    first, second = start(), start()
    for name in "abc":
        second("call", name, 1)
    second.kill()
    first("bound", 2)
    for name in "yz":
        first("call", name, 1)
    assert shown(first.scrape()) == {"y": 1, "z": 1, "__other__": 3}


def test_a_scrape_writes_only_when_there_are_new_names(two, directory):
    file = directory / "names.json"
    two[0].scrape()
    written = file.stat()
    for worker in (*two, two[0]):
        worker("call", "a", 1)
        worker.scrape()
    assert file.stat() == written
    two[1]("call", "e", 1)
    two[1].scrape()
    assert file.stat() != written


def test_workers_that_lose_the_names_file_go_on_as_before(two, directory):
    before = two[0].scrape()
    two[1].scrape()
    (directory / "names.json").write_text("damaged")
    assert_none_fell(before, two[1].scrape())
    (directory / "names.json").unlink()
    assert_none_fell(before, two[0].scrape())
    assert shown(two[0].scrape()) == shown(two[1].scrape())


@pytest.mark.parametrize(
    ("names", "kept", "most"),
    [
        (60, 120, 100),
        (60, 120, 25),
        pytest.param(1_300, 3_000, 2_000, marks=pytest.mark.slow),
    ],
)
def test_no_counter_falls_when_a_worker_with_many_names_of_six_kinds_is_killed(
    start, names, kept, most
):
    """The totals keep fewer keys than the workers have."""  # trap 57, 67
    first, second = start(), start()
    for worker, at in ((first, 0), (second, names // 2)):
        worker("keep", kept)
        worker("bound", most)
        worker("make_many", at, names)
    before = second.scrape()
    assert first.scrape() == before
    first.kill()
    for worker in (second, second, start()):
        worker("bound", most)
        found = worker.scrape()
        assert_none_fell(before, found)
        before = found


def test_workers_that_meet_new_names_at_the_same_time_show_the_same(start):
    workers = [start() for _ in range(3)]
    for worker in workers:
        worker("bound", 8)
    last = [{} for _ in workers]
    with ThreadPoolExecutor(len(workers)) as pool:
        for turn in range(5):
            for at, worker in enumerate(workers):
                worker("call", f"name-{(turn * 7 + at * 3) % 20}", 1)
                worker("call", f"name-{(turn * 5 + at * 4) % 20}", 1)
            found = list(pool.map(Worker.scrape, workers))
            for before, after in zip(last, found, strict=True):
                assert_none_fell(before, after)
            assert found[0] == found[1] == found[2]
            assert sum(shown(found[0]).values()) == 6 * (turn + 1)
            last = found
    assert len(shown(found[0])) == 9


def test_a_collector_of_some_policies_has_a_bound_of_its_own(shared):
    run_apart(
        """
        import gc
        import holdfast as hf
        from holdfast.telemetry.prometheus import Collector

        def told(collector):
            return {s.labels["name"]: s.value for m in collector.collect() for s in m.samples
                    if s.name.endswith("requests_total") and s.labels["result"] == "success"}

        kept = {name: hf.CircuitBreaker(name) for name in "abcxyz"}
        for breaker in kept.values():
            breaker.call(int)
        everything = Collector(max_names=3)
        some = Collector(kept["x"], kept["y"], kept["z"], max_names=2)
        for _ in range(2):
            assert told(everything) == {"a": 1, "b": 1, "c": 1, "__other__": 3}
            assert told(some) == {"x": 1, "y": 1, "__other__": 1}
        del kept["z"], breaker
        gc.collect()
        for _ in range(2):
            assert told(everything) == {"a": 1, "b": 1, "c": 1, "__other__": 3}
            assert told(some) == {"x": 1, "y": 1, "__other__": 1}
        again = hf.CircuitBreaker("z")
        again.call(int)
        assert told(everything) == {"a": 1, "b": 1, "c": 1, "__other__": 4}
        assert told(Collector(again)) == {"z": 2}
        """
    )


@pytest.mark.parametrize("chooses", [False, True], ids=["this scrape", "another scrape"])
def test_what_a_worker_folds_while_names_are_chosen_takes_nothing_from_a_series(start, chooses):
    scraper, worker, other = start(), start(), start()
    worker("make_and_drop", 40, 1000)
    worker("make_and_drop", 8)
    for number in range(8):  # of the same names; they have no series yet
        scraper("call", f"gone-{number}", 1)

    def fold():
        worker("keep_gone", 10)
        worker("make_and_drop", 200, 2000)
        if chooses:
            other.scrape()

    before = scraper.scrape_while(fold)
    assert_none_fell(before, scraper.scrape())


def test_a_scrape_that_folds_names_of_the_dead_shows_none_of_them_by_itself(start):
    dead, scraper = start(), start()
    for number in range(40):
        dead("call", f"b{number}", 1)
    scraper("keep_dead", 10)
    dead.kill()
    before = scraper.scrape()
    assert_none_fell(before, scraper.scrape())
    assert sum(shown(before).values()) == 40
