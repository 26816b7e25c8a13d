"""What docs/outlook.md says of lead times and false alarms, is what the stored traces give."""

from pathlib import Path

import pytest

from benchmarks import outlook as evaluation
from benchmarks.outlook_traces import scripts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "outlook.md"


@pytest.fixture(scope="module")
def traces():
    return evaluation.read_traces()


@pytest.fixture(scope="module")
def verdicts(traces):
    levels = [evaluation.replay(trace) for trace in traces]
    return {
        level: [evaluation.judge(*pair, level) for pair in zip(traces, levels, strict=True)]
        for level in ("warning", "watch")
    }


def rows_after(heading):
    """Return the rows of the table on the page whose first row of all begins so."""
    lines = iter(PAGE.read_text().splitlines())
    for line in lines:
        if line.startswith(heading):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows


def test_the_stated_leads_and_false_alarms_are_those_of_the_traces(verdicts):  # NX-17
    assert rows_after("| alarm, half |") == [
        row for level, of in verdicts.items() for row in evaluation.summary_rows(of, level)
    ]


def test_the_stated_lead_of_each_fault_is_that_of_its_trace(verdicts):  # NX-17
    assert rows_after("| fault |") == evaluation.fault_rows(verdicts["warning"])


def test_the_stated_false_alarms_of_each_kind_are_those_of_the_traces(verdicts):  # NX-17
    assert rows_after("| kind |") == evaluation.clean_rows(verdicts["watch"])


def test_there_are_twenty_faulty_and_twenty_clean_traces_and_half_of_each_is_held_out(traces):
    count = {}
    for trace in traces:
        key = (trace.half, trace.onset is not None)
        count[key] = count.get(key, 0) + 1
        if trace.onset is not None:
            assert trace.outage > trace.onset
    assert count == {
        ("tune", True): 10,
        ("tune", False): 10,
        ("held-out", True): 10,
        ("held-out", False): 10,
    }


def test_the_stored_traces_are_those_of_the_scripts(traces):
    planned = {one.name: (one.tune, one.onset, len(one.lines)) for one in scripts()}
    assert {
        trace.name: (trace.half == "tune", trace.onset, len(trace.lines)) for trace in traces
    } == planned


def test_no_trace_without_a_fault_has_an_outage(traces):
    clean = [trace for trace in traces if trace.onset is None]
    assert [trace.name for trace in clean if trace.outage is not None] == []


def test_the_traces_are_small():
    files = list(evaluation.TRACES.iterdir())
    assert sum(file.stat().st_size for file in files) < 400_000
