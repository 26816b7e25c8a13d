"""What processes say: lines, the log, and the last lines."""

import logging
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.supervision import output
from holdfast.supervision.output import LINE_BYTES, LINES_PER_SECOND, Lines
from tests.supervision.processes import SECONDS, Watched, program, wait_until

SECOND_NS = 10**9


@given(
    st.lists(st.text("ab€\r ", max_size=9), min_size=1, max_size=9),
    st.lists(st.integers(0, 40), max_size=9),
)
def test_lines_do_not_depend_on_where_the_stream_was_cut(lines, cuts):
    data = "\n".join(lines).encode()
    whole = Lines()
    wanted = [*whole.feed(data, 0), *whole.finish()]
    cut = Lines()
    found = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        found += cut.feed(data[start:end], 0)
    assert [*found, *cut.finish()] == wanted
    assert wanted[: len(lines) - 1] == [line.removesuffix("\r") for line in lines[:-1]]


def test_a_line_that_is_too_long_is_cut_and_says_by_how_much():
    lines = Lines()
    found = []
    for _ in range(100):
        found += lines.feed(b"x" * 1000, 0)
    assert found == []
    assert lines.feed(b"\nnext\n", 0) == ["x" * LINE_BYTES + "… (91808 more bytes)", "next"]


def test_lines_that_come_too_fast_are_counted_and_left_out():
    lines = Lines()
    assert len(lines.feed(b"line\n" * 1500 + b"part", 0)) == LINES_PER_SECOND
    assert lines.feed(b"more\n" * 10, SECOND_NS - 1) == []
    found = lines.feed(b"ial\nnext\n", SECOND_NS)
    assert found[0] == "… 510 lines left out, as more than 1000 came in a second"
    assert found[-1] == "next"


def test_lines_left_out_at_the_end_are_told_at_the_end():
    lines = Lines()
    lines.feed(b"\n" * (LINES_PER_SECOND + 3), 0)
    assert lines.finish() == ["… 3 lines left out, as more than 1000 came in a second"]


def test_a_stream_that_is_no_text_is_shown_all_the_same():
    assert Lines().feed(b"\xff\x00caf\xc3\xa9\r\n", 0) == ["\\xff\0café"]


def test_each_line_is_a_record_with_the_name_and_the_stream(process, caplog):
    caplog.set_level(logging.INFO, "holdfast")
    source = "import os; os.write(1, b'one\\ntwo'); os.write(2, b'thr\\x1b[2Jee\\n')"
    watched = Watched(process(program(source))).start()
    watched.wait()
    watched.component.stop()  # what it has said is in the log when stop returns
    records = [r for r in caplog.records if getattr(r, "holdfast_event", "") == "output"]
    assert {(r.name, r.holdfast_stream, r.getMessage()) for r in records} == {
        ("holdfast.supervision", "stdout", "component 'peer', stdout: one"),
        ("holdfast.supervision", "stdout", "component 'peer', stdout: two"),
        ("holdfast.supervision", "stderr", "component 'peer', stderr: thr\\x1b[2Jee"),
    }
    assert {r.holdfast_policy for r in records} == {"peer"}


def test_the_last_lines_are_those_of_the_last_process(process):
    component = process(["sh", "-c", "for n in $(seq 50); do echo $n; done"])
    Watched(component).start().wait()
    component.stop()
    assert component.last_lines == tuple(str(n) for n in range(31, 51))
    Watched(component).start().wait()
    component.stop()
    assert component.last_lines == tuple(str(n) for n in range(31, 51))


def test_a_log_that_hangs_holds_no_process_up_and_takes_no_more_memory(
    process, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "holdfast")
    monkeypatch.setattr(output, "_FLUSH_NS", 1_000_000)
    monkeypatch.setattr(output, "_MOST_WAITING", 10)
    free = threading.Event()

    class Hangs(logging.Handler):
        def emit(self, record):
            free.wait(SECONDS)

    handler = Hangs()
    logging.getLogger("holdfast.supervision").addHandler(handler)
    try:
        watched = Watched(process(["sh", "-c", "for n in $(seq 500); do echo $n; done"]))
        watched.start().wait()
        watched.component.stop()
        assert watched.component.last_lines[-1] == "500"
        assert len(output.writing._lines) <= 10
    finally:
        free.set()
        logging.getLogger("holdfast.supervision").removeHandler(handler)
    wait_until(lambda: "lines left out, as the log was slower" in caplog.text)


@pytest.mark.parametrize("kept", ["inherit", "discard"])
def test_output_may_go_where_that_of_this_process_goes_or_nowhere(process, kept, capfd):
    Watched(process(["sh", "-c", "echo out; echo err >&2"], output=kept)).start().wait()
    said = ("out\n", "err\n") if kept == "inherit" else ("", "")
    assert tuple(capfd.readouterr()) == said


def test_a_process_may_read_what_this_process_would(process):
    reads, writes = os.pipe()
    before = os.dup(0)
    os.dup2(reads, 0)
    try:
        watched = Watched(process(["cat"], stdin="inherit")).start()
    finally:
        os.dup2(before, 0)
        for fd in (before, reads):
            os.close(fd)
    os.write(writes, b"to read\n")
    os.close(writes)
    watched.wait()
    watched.component.stop()
    assert watched.component.last_lines == ("to read",)
