"""Several workers: whichever is asked answers for all, and nothing that was counted is lost."""

import json
import os
import shutil
import signal
import stat
from itertools import pairwise

import pytest

from holdfast.stores.figures import BREAKER, COUNTS
from holdfast.stores.totals import WRITTEN
from tests.stores.crew import REQUESTS, assert_none_fell, totals

# As a version before this one wrote them: the numbers of a role stood in another order.
OF_BEFORE = json.dumps({"version": 1, "merged": [], "figures": [["retry", "b", [3] * 45]]})
OTHER_ORDER = totals(
    [["limiter", "b", [1, 2, 3, 4]]],
    places={**WRITTEN, "limiter": {**WRITTEN["limiter"], "rejected": [0, 1], "allowed": [1, 2]}},
)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_whichever_worker_is_asked_answers_for_all(start):  # CB-29, GEN-16
    workers = [start() for _ in range(4)]
    for times, worker in enumerate(workers, 1):
        worker("call", "b", times)
        worker("make", "breaker", "timed")
        worker("fail", "timed", times)
    scrapes = [worker.scrape() for worker in workers]
    assert scrapes[0] == scrapes[1] == scrapes[2] == scrapes[3]
    assert workers[0].calls("b") == 1 + 2 + 3 + 4
    assert workers[0].calls("timed", "failure") == 1 + 2 + 3 + 4
    assert workers[0].gauge("workers") == 4
    assert workers[0].gauge("workers_unreadable") == 0


def counts(scrape):
    """Return what has been counted; series at 0 come and go with policies that observe."""
    return {key: value for key, value in scrape.items() if key[0] != "gauge" and value}


def test_the_counts_of_every_policy_are_summed_over_workers_and_kept_for_the_dead(start):
    first = start()
    first("use_every")
    twice = {key: 2 * value for key, value in counts(first.scrape()).items()}
    second = start()
    kinds = {kind.replace("fault", "chaos") for kind in second("use_every")}
    for worker in (first, second):
        assert counts(worker.scrape()) == twice
    metrics = {metric for _, metric, _ in twice}
    assert {kind for kind in kinds if not any(kind in metric for metric in metrics)} == {"bulkhead"}
    first.kill()
    assert counts(second.scrape()) == twice
    second.kill()
    assert counts(start().scrape()) == twice


def test_a_level_is_shown_as_the_worst_of_all_workers_and_no_count_of_it_falls(start):  # DG-10
    first, second = start(), start()
    assert first("degrade", "m", "c", "degraded") == 1
    assert second("degrade", "m", "c", "emergency") == 3
    seconds = "holdfast_degradation_seconds_total"
    scrapes = [second.scrape(), first.scrape(), first.scrape(), second.scrape()]
    for worker in (first, second):
        assert worker.gauge("degradation_level", manager="m", component="c") == 3
    second.kill()
    assert first.gauge("degradation_level", manager="m", component="c") == 1
    first("degrade", "m", "c", "normal")
    assert first.gauge("degradation_level", manager="m", component="c") == 0
    scrapes += [first.scrape(), start().scrape()]
    for before, after in pairwise(scrapes):
        assert_none_fell(before, after)
    last = {
        dict(labels)["level"]: value
        for (_, name, labels), value in after.items()
        if name == seconds
    }
    assert 0 < last["degraded"] < 600
    assert 0 < last["emergency"] < 600


def test_a_health_check_is_shown_of_all_workers_and_its_counts_outlive_them(start):  # D-HC-4
    name = "\U00010348" * 200  # as long as a name may be, in both its parts
    labels = (("check", name), ("checker", name))
    failures = ("counter", "holdfast_health_check_failures_total", labels)
    first, second = start(), start()
    assert first("check", name, name, "pd?") == 1
    assert second("check", name, name, "pff") == 3
    for worker in (first, second):
        assert worker.gauge("health_check_status", check=name, checker=name) == 0
        assert worker.scrape()[failures] == 2
    second.kill()
    assert first.gauge("health_check_status", check=name, checker=name) == 1
    assert first.scrape()[failures] == 2


def test_gauges_are_the_worst_state_and_the_sum_of_places(start):
    first, second = start(), start()
    for worker in (first, second):
        worker("call", "b", 1)
        worker("make", "bulkhead", "h")
        worker("enter", "h")
    second("trip", "b")
    first("call", "b", 1)  # each process opens and closes its own: GEN-16
    for worker in (first, second):
        assert worker.gauge("circuit_breaker_state", name="b") == 2
        assert worker.gauge("bulkhead_concurrent", bulkhead="h") == 2


def test_counts_of_a_killed_worker_are_kept_and_its_gauges_dropped(start, directory):  # trap 57
    first, second = start(), start()
    for worker in (first, second):
        worker("call", "b", 5)
        worker("make", "bulkhead", "h")
        worker("enter", "h")
    second("trip", "b")
    second("call", "only-there", 7)
    before = first.scrape()
    file = second("file")
    second.kill()
    after = first.scrape()
    assert_none_fell(before, after)
    assert first.calls("b") == 10
    assert first.calls("only-there") == 7
    assert first.gauge("circuit_breaker_state", name="b") == 0
    assert first.gauge("circuit_breaker_state", name="only-there") is None
    assert first.gauge("bulkhead_concurrent", bulkhead="h") == 1
    assert first.gauge("workers") == 1
    assert file not in names(directory)
    assert_none_fell(after, start().scrape())


@pytest.mark.stress
def test_no_counter_falls_and_no_scrape_fails_while_workers_die_and_come(start, stress_scale):
    """Killed in the middle of calls, restarted, killed again; two survivors scrape meanwhile."""
    # trap 57, D-MX-2
    survivors = [start(), start()]
    others = [start(), start()]
    for worker in survivors:
        worker("call", "b", 1)
    last = survivors[0].scrape()
    for turn in range(6 * stress_scale):
        victim = others[turn % 2]
        victim.begin("endless", "b")
        assert victim._answer() == "begun"
        for worker in survivors:
            found = worker.scrape()
            assert_none_fell(last, found)
            last = found
        victim.kill()
        for worker in survivors:
            found = worker.scrape()
            assert_none_fell(last, found)
            last = found
        others[turn % 2] = start()
    assert survivors[0].scrape() == survivors[1].scrape()


def test_what_dead_workers_counted_is_there_for_those_who_come_later(start, directory):
    for times in (3, 4):
        worker = start()
        worker("call", "b", times)
        worker.kill()
    idle = start()
    assert idle.calls("b") == 7
    worker = start()
    worker("call", "b", 1)
    assert worker.calls("b") == 8
    worker.kill()
    last = start()
    assert last.calls("b") == 8
    left = {name for name in names(directory) if name.startswith("worker-")}
    assert left == {idle("file"), last("file")}


def test_a_worker_that_ends_by_itself_is_kept_like_one_that_was_killed(start):
    first, second = start(), start()
    first("call", "b", 2)
    second("call", "b", 3)
    second("call", "only-there", 7)
    second.process.stdin.close()
    second.process.wait()
    for _ in range(2):
        assert first.calls("b") == 5
        assert first.calls("only-there") == 7


def test_a_stopped_worker_holds_nobody_up_and_counts_as_alive(start):
    first, second = start(), start()
    first("call", "b", 2)
    second("call", "b", 3)
    second("trip", "b")
    second.process.send_signal(signal.SIGSTOP)
    try:
        assert first.calls("b") == 5
        assert first.gauge("circuit_breaker_state", name="b") == 2
    finally:
        second.process.send_signal(signal.SIGCONT)
    second("call", "other", 1)
    assert first.calls("other") == 1


def test_a_process_number_that_comes_again_is_never_asked(start, directory):
    first, second = start(), start()
    first("call", "b", 1)
    second("call", "b", 2)
    file = second("file")
    second.kill()
    # As if the dead one's number were that of a process which lives.
    (directory / file).rename(directory / f"worker-{first('pid')}-{'0' * 16}")
    assert first.calls("b") == 3
    assert first.gauge("workers") == 1
    assert first.calls("b") == 3


def test_a_forked_child_counts_from_nothing_in_a_file_of_its_own(start, directory):  # trap 58
    worker = start()
    worker("call", "b", 5)
    assert worker("child", "b", 7) == "closed"  # the child has opened its own
    assert worker.calls("b") == 12
    assert worker.gauge("circuit_breaker_state", name="b") == 0
    worker("call", "b", 1)
    assert worker.calls("b") == 13
    other = start()
    other("call", "b", 1)
    assert other.calls("b") == worker.calls("b") == 14


def test_forked_children_fork_and_their_parents_die_without_a_count_lost(start):
    worker, other = start(), start()
    other("call", "b", 1)
    worker("call", "b", 10)
    for times in (20, 30):
        assert worker("fork") == 0  # from here on it is the child that answers
        worker("call", "b", times)
    assert other.calls("b") == 61
    assert worker.calls("b") == 61
    assert other.gauge("workers") == 4
    worker.begin("pid")
    os.kill(worker._answer(), signal.SIGKILL)
    while other.gauge("workers") > 3:
        continue
    assert other.calls("b") == 61


def test_a_collected_policy_leaves_its_counts_where_workers_share_a_directory(start):  # D-MX-2
    first, second = start(), start()
    first("call", "b", 2)
    second("call", "b", 3)
    second("trip", "b")
    second("drop", "b")
    assert first.calls("b") == second.calls("b") == 5
    assert first.gauge("circuit_breaker_state", name="b") == 0
    second("call", "b", 1)
    assert first.calls("b") == 6
    first("drop", "b")
    second("drop", "b")
    for worker in (first, second):
        assert worker.calls("b") == 6
        assert worker.gauge("circuit_breaker_state", name="b") is None
    second("call", "b", 1)
    assert first.calls("b") == second.calls("b") == 7
    assert first.gauge("circuit_breaker_state", name="b") == 0


@pytest.mark.parametrize(
    "kind", ["breaker", "full", "retry", "limiter", "window", "timeout", "fallback", "observing"]
)
def test_what_a_policy_counted_is_kept_when_it_is_collected_and_its_worker_killed(
    start, directory, kind
):  # D-MX-2, trap 57
    first, second = start(), start()
    for worker in (first, second):
        worker("make", kind, "p")
        if kind == "breaker":
            worker("trip", "p")
        worker("fail", "p", 4)
    before = first.scrape()
    assert any(key[0] == "counter" and value >= 4 for key, value in before.items())
    second("drop", "p")
    second("make", "breaker", "other")  # the ledger buries the dead before it takes in the next
    collected = first.scrape()
    assert_none_fell(before, collected)
    second.kill()
    for _ in range(2):  # as the file says, and as totals.json says
        after = first.scrape()
        assert_none_fell(collected, after)
    assert_none_fell(after, start().scrape())
    assert not list(directory.glob("*damaged*"))
    assert first.gauge("workers_unreadable") == 0


def test_percentiles_are_those_of_the_calls_of_all_workers_together(start):  # MX-24, MX-25, MX-26
    first, second, idle = start(), start(), start()
    for worker in (first, second, idle):
        worker("make", "latency", "y")
    first("record", "y", 0.01, 960)  # of 1,000 calls
    second("record", "y", 0.5, 39)
    idle("record", "y", 9, 1)  # a single one is not what half of the calls took
    for worker in (first, second):
        shown = [worker.gauge(f"latency_budget_p{n}_seconds", budget="y") for n in (50, 95, 99)]
        assert shown == pytest.approx([0.01, 0.01, 0.5], rel=0.02)
        assert worker.gauge("latency_budget_compliant", budget="y") == 0
    second.kill()
    idle.kill()
    assert first.gauge("latency_budget_p99_seconds", budget="y") == pytest.approx(0.01, rel=0.02)
    assert first.gauge("latency_budget_compliant", budget="y") == 1


def test_an_error_budget_is_that_of_the_requests_of_all_workers_together(start):  # MX-21 to MX-23
    first, second, idle = start(), start(), start()

    def failed_of(worker):
        labels = (("budget", "z"), ("result", "failure"))
        return worker.scrape()["counter", "holdfast_error_budget_requests_total", labels]

    for worker in (first, second, idle):
        worker("make", "errors", "z")
    first("count", "z", 895, 5)
    second("count", "z", 60, 40)  # 45 of 1,000, and 100 may fail
    for worker in (first, second, idle):
        assert worker.gauge("error_budget_consumed", budget="z") == pytest.approx(0.45)
        assert worker.gauge("error_budget_remaining", budget="z") == pytest.approx(0.55)
        for window in ("5m", "30m", "1h", "6h"):
            rate = worker.gauge("error_budget_burn_rate", budget="z", window=window)
            assert rate == pytest.approx(0.45)
        assert failed_of(worker) == 45
    second.kill()
    assert failed_of(first) == 45
    assert first.gauge("error_budget_consumed", budget="z") == pytest.approx(5 / 90)


def test_a_worker_that_has_dropped_many_names_keeps_those_with_series_and_all_counts(start):
    first, second = start(), start()  # trap 67, GEN-16
    first("call", "b", 0)
    second("call", "b", 0)
    second("keep_gone", 50)
    second("make_and_drop", 10)
    before = first.scrape()  # these have series
    second("make_and_drop", 200, 10)
    second("make", "breaker", "other")
    for worker in (first, second):
        after = worker.scrape()
        assert_none_fell(before, after)
        counts = {dict(labels)["name"]: value for (_, metric, labels), value in after.items()
                  if metric == REQUESTS and ("result", "success") in labels}  # fmt: skip
        assert sum(counts.values()) == 210
        retired = 30  # names that are not summed up yet
        assert len(counts) <= 50 + retired + len({"b", "other", "__other__"})
    second.kill()
    assert_none_fell(after, first.scrape())


def test_the_table_of_a_worker_that_drops_names_stays_small(start):
    worker = start()
    worker("keep_gone", 50)
    worker("make_and_drop", 100)
    small = worker("used")
    worker("make_and_drop", 300, 100)
    assert worker("used") <= 2 * small


@pytest.mark.parametrize(("names", "own"), [(9_998, {"a", "b"}), (9_999, {"a", "__other__"})])
def test_ten_thousand_names_of_dead_workers_are_remembered(start, directory, names, own):  # trap 67
    first, second = start(), start()
    second("call", "a", 1)
    second("call", "b", 1)
    there = [
        ["breaker", f"gone {number}", [1] + [0] * (COUNTS[BREAKER] - 1)] for number in range(names)
    ]
    file = directory / "totals.json"
    file.write_text(totals(there))
    second.kill()
    first.scrape()
    after = {name: counts[0] for _, name, counts in json.loads(file.read_text())["figures"]}
    assert after.keys() - {name for _, name, _ in there} == own
    assert sum(after.values()) == names + 2


def test_durations_are_seen_by_the_others_from_the_first_on_and_after_the_end(start):
    # They are counted in a histogram that is made for the first of them.
    first, second = start(), start()
    durations = ("histogram", "holdfast_circuit_breaker_request_duration_seconds_count")
    key = (*durations, (("name", "b"),))
    second("make", "breaker", "b")
    second("call", "untimed", 1)
    assert key not in first.scrape()
    second("call", "b", 2)
    found = first.scrape()
    assert [labels for *kind, labels in found if tuple(kind) == durations] == [key[-1]]
    second.kill()
    assert first.scrape()[key] == first.scrape()[key] == found[key] == 2


def test_calls_of_a_pipeline_are_seen_by_the_others_from_zero_and_after_the_end(start):
    first, second = start(), start()
    second("make", "pipeline", "p")

    def seen(worker):
        found = {
            (
                name.removeprefix("holdfast_"),
                *(value for key, value in labels if key != "le"),
            ): value
            for (_, name, labels), value in worker.scrape().items()
            if name.startswith(("holdfast_pipeline_call", "holdfast_timeout_calls"))
        }
        assert found["pipeline_calls_total", "success", "p"] == 0
        assert len([key for key in found if key[0] == "pipeline_calls_total"]) == 5
        assert found["timeout_calls_total", "refused", "attempt", "p"] == 0
        ran = found["timeout_calls_total", "in_time", "total", "p"]
        assert ran == found["timeout_calls_total", "in_time", "attempt", "p"]
        timed = found.get(("pipeline_call_duration_seconds_count", "p"), 0)
        assert ran == timed == found["pipeline_calls_total", "failure", "p"]
        return ran

    assert (seen(first), seen(second)) == (0, 0)
    second("fail", "p", 2)
    assert (seen(first), seen(second)) == (2, 2)
    second("fork")  # from here on a child, which counts from zero
    second("fail", "p", 3)
    assert seen(first) == seen(second) == 5
    second.kill()
    assert [seen(first) for _ in range(2)] == [5, 5]


def test_others_see_whether_a_breaker_admits_calls_without_traffic(start):
    first, second = start(), start()
    kinds = ("breaker", "open", "due")
    for kind in kinds:
        second("make", kind, kind)
    shown = {kind: first.gauge("circuit_breaker_accepting", name=kind) for kind in kinds}
    assert shown == {"breaker": 1, "open": 0, "due": 1}
    assert first.gauge("circuit_breaker_state", name="due") == 2


def test_every_kind_of_policy_is_seen_by_the_others(start):
    first, second = start(), start()
    second("make", "retry", "r")
    second("fail", "r", 1)
    second("make", "limiter", "l")
    taken = [second("take", "l") for _ in range(4)]
    found = first.scrape()
    labels = (("attempt", "1"), ("policy", "r"))
    assert found["counter", "holdfast_retry_attempts_total", labels] == 1
    limiter = (("limiter", "l"),)
    assert found["counter", "holdfast_rate_limiter_allowed_total", limiter] == sum(taken) == 2
    assert found["counter", "holdfast_rate_limiter_rejected_total", limiter] == 2
    assert found == second.scrape()


def test_files_are_this_users_alone(start, directory):
    worker = start()
    worker("call", "b", 1)
    start().kill()
    worker.scrape()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert path.stat().st_size == 0 or path.stat().st_blocks > 0


def foreign(directory, worker):
    """Put everything into the directory that does not belong there; return how many files."""
    whole = (directory / worker("file")).read_bytes()
    (directory / "worker-1-empty").write_bytes(b"")
    (directory / "worker-1-short").write_bytes(whole[:20])
    (directory / "worker-1-shorter").write_bytes(whole[:12])
    (directory / "worker-1-cut").write_bytes(whole[:4096])
    (directory / "worker-1-text").write_bytes(b"x" * 5000)
    (directory / "worker-1-other-magic").write_bytes(b"\xff" * 8 + whole[8:])
    (directory / "worker-1-table").write_bytes(whole[:24] + b"\xff" * 8 + whole[32:])
    (directory / "worker-1-directory").mkdir()
    os.mkfifo(directory / "worker-1-pipe")
    (directory / "worker-1-link").symlink_to(directory / worker("file"))
    (directory / "worker-1-dangling").symlink_to(directory / "nowhere")
    return 11


def test_files_that_are_none_of_ours_are_left_out_and_told_of(start, directory):  # trap 60
    worker = start()
    worker("call", "b", 2)
    strange = foreign(directory, worker)
    assert worker.calls("b") == 2
    assert worker.gauge("workers_unreadable") == strange
    assert worker.gauge("workers") == 1
    other = start()
    other("call", "b", 1)
    assert other.calls("b") == worker.calls("b") == 3
    other.kill()
    assert worker.calls("b") == 3
    for path in directory.glob("worker-1-*"):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert worker.gauge("workers_unreadable") == 0


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"version": 2}', '{"version": 1}', "[" * 100_000,
        totals([["breaker", "b", [1]]]),
        totals([["brooker", "b", []]]),
        totals([["limiter", "b", [1, 2, -3, 4]]]),
        totals([["limiter", "b", [1, 2, True, 4]]]),
        totals([["limiter", "b\n", [1, 2, 3, 4]]]),
        totals([["limiter", 7, [1, 2, 3, float("nan")]]]),
        totals(merged=7),
        OF_BEFORE, OTHER_ORDER,
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_totals_that_cannot_be_read_are_set_aside_and_not_written_over(start, directory, text):
    first = start()  # trap 60
    first("call", "b", 1)
    damaged = text if isinstance(text, bytes) else text.encode()
    (directory / "totals.json").write_bytes(damaged)
    assert first.calls("b") == 1
    first("child", "b", 2)
    for _ in range(2):
        assert first.calls("b") == 3
    [aside] = directory.glob("totals.json.damaged-*")
    assert aside.read_bytes() == damaged


def test_what_a_creator_left_that_died_is_removed_and_of_one_that_lives_is_not(start, directory):
    import fcntl

    first, second = start(), start()
    first("call", "b", 1)
    second("call", "b", 1)
    (directory / ".worker-1-left").write_bytes(b"half")
    with open(directory / ".worker-2-at-it", "wb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        second.kill()
        assert first.calls("b") == 2
        assert {".worker-2-at-it"} == {name for name in names(directory) if name[0] == "."}
