"""The numbers of a proposal, against a table, and when another one is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.resources.proposal import FIELDS, Proposal, propose, triggers
from holdfast.resources.report import (
    ApplicationFigures,
    OperationFigures,
    PerformanceReport,
    SystemFigures,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("processors", "memory", "cpu", "used", "numbers"),
    [
        (4, 16, 0.5, 0.5, (8, 4, 2, 16)),  # two for each processor
        (0.5, 16, 0.5, 0.5, (2, 1, 1, 4)),  # at least two
        (64, 16, 0.5, 0.5, (20, 10, 6, 40)),  # at most twenty
        (4, 3.9, 0.5, 0.5, (4, 2, 1, 8)),
        (4, 4, 0.5, 0.5, (6, 3, 2, 12)),
        (4, 7.9, 0.5, 0.5, (6, 3, 2, 12)),
        (4, 8, 0.5, 0.5, (8, 4, 2, 16)),
        (10, 16, 0.8, 0.85, (20, 10, 6, 40)),  # exactly at a limit is not above it
        (10, 16, 0.81, 0.85, (14, 7, 4, 28)),
        (10, 16, 0.8, 0.86, (16, 8, 5, 32)),
        (10, 16, 0.9, 0.9, (11, 5, 3, 22)),
        (10, 2, 0.9, 0.9, (5, 2, 1, 10)),
        (1, 2, 0.9, 0.9, (2, 1, 1, 4)),
        (4, None, None, None, (8, 4, 2, 16)),  # what is not known changes nothing
    ],
)
def test_each_factor_has_its_effect(processors, memory, cpu, used, numbers):  # RS-09
    made = propose(processors, memory and int(memory * GIB), cpu=cpu, used=used)
    assert made.numbers == numbers
    assert made.numbers == tuple(getattr(made, name) for name in FIELDS)
    assert made.utilisation == 0.8


def test_each_factor_is_explained_with_the_number_that_caused_it():  # RS-09
    made = propose(4, 3 * GIB, cpu=0.934, used=0.91)
    assert made.reasons == (
        "8 workers: two for each of 4 processors, 2 to 20",
        "times 0.5: 3.0 GiB of memory are below 4 GiB",
        "times 0.7: 93.4% of the processors are used, above 80%",
        "times 0.8: 91.0% of the memory are used, above 85%",
        "1 for backfill: half of 2 workers, 1 to 10",
        "1 writes: a third of 2 workers, 1 to 15",
        "4 calls behind breakers: two for each of 2 workers",
    )
    assert propose(1, 3 * GIB, cpu=0.9, used=0.1).reasons[3:4] == (
        "at least 2 workers: 0.70 are too few",
    )
    assert len(propose(4, 16 * GIB, cpu=0.1, used=0.1).reasons) == 4


shares = st.one_of(st.none(), st.floats(0, 2))


@given(st.floats(0.01, 1000), st.one_of(st.none(), st.integers(0, 1 << 50)), shares, shares)
def test_no_machine_leads_out_of_the_limits(processors, memory, cpu, used):  # RS-09
    made = propose(processors, memory, cpu=cpu, used=used)
    assert 2 <= made.workers <= 20
    assert 1 <= made.backfill <= 10
    assert 1 <= made.writes <= 15
    assert made.breaker_calls == 2 * made.workers
    calmer = propose(processors, memory, cpu=0.0, used=0.0)
    assert calmer.workers >= made.workers


# ---- when another one is due ----


def report(cpu=0.1, memory=0.1, calls=0, failed=0, mean=None, tasks=1, rejected=0):
    system = SystemFigures(
        cpu=cpu, processors=4, own_cpu=cpu, memory_used=int(memory * 16 * GIB),
        memory_limit=16 * GIB,
        memory_source="system", resident=1, threads=0, tasks=tasks, descriptors=1,
        descriptors_limit=10,
    )  # fmt: skip
    total = OperationFigures(
        name="", calls=calls, succeeded=calls - failed - rejected, failed=failed, timeouts=0,
        rejected=rejected, cancelled=0, throughput=None, mean=mean, p50=None, p95=None, p99=None,
    )  # fmt: skip
    return PerformanceReport(
        name="shop", at=0.0, time=0.0, seconds=30.0, score=100.0, reasons=(), system=system,
        application=ApplicationFigures(total, {}, 0), workers={}, caches={}, resources={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("calm", "bad", "reason"),
    [
        ({"cpu": 0.85}, {"cpu": 0.9}, "86.0% of the processors"),
        ({"memory": 0.9}, {"memory": 0.95}, "91.0% of the memory"),
        (
            {"calls": 100, "failed": 5}, {"calls": 100, "failed": 10},
            "6.0% of the calls without a result",
        ),
        ({"calls": 10, "mean": 5.0}, {"calls": 10, "mean": 10.0}, "6.00 s a call"),
        ({"tasks": 1000}, {"tasks": 1005}, "1001 threads and tasks"),
    ],
)  # fmt: skip
def test_the_average_of_five_reports_above_a_limit_is_a_reason(calm, bad, reason):  # RS-09
    assert triggers([report(**calm)] * 5) == ()
    five = [report(**calm)] * 4 + [report(**bad)]
    assert triggers(five) == (f"{reason} on average of 5 reports",)
    assert triggers(five[1:]) == ()  # four are too few
    assert triggers([report(**bad)] * 9 + [report()] * 5) == ()  # only the newest count


def test_calls_count_alike_and_not_the_reports_that_they_are_in():
    one_of_one = [report(calls=1, failed=1), *[report(calls=100)] * 4]
    assert triggers(one_of_one) == ()
    slow_one = [report(calls=1, mean=60.0), *[report(calls=100, mean=0.1)] * 4]
    assert triggers(slow_one) == ()
    refused = [report(calls=1000, rejected=999, failed=0, mean=60.0)] * 5
    assert triggers(refused)[1:] == ("60.00 s a call on average of 5 reports",)


def test_what_is_not_known_is_no_reason():
    assert triggers([report(cpu=None)] * 5) == ()
    assert triggers([report(cpu=None)] * 4 + [report(cpu=0.9)]) == (
        "90.0% of the processors on average of 5 reports",
    )


def test_a_proposal_is_a_plain_frozen_value():
    made = propose(4, None, cpu=None, used=None)
    assert made == propose(4, None, cpu=None, used=None)
    with pytest.raises(AttributeError):
        made.workers = 5
    assert isinstance(made, Proposal)
