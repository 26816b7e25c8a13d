"""What a process has to say, by its own account and in its file, while policies come and go."""

import os
import sys

import pytest

from holdfast._native.reader import Reader
from tests.apart import run_apart

READ = """
    import gc, os, sys
    import holdfast as hf
    from holdfast._native import ledger as native
    from holdfast._native.reader import Reader
    from holdfast.stores.ledger import ledger

    def told(name="b"):
        "The successes of a breaker's name, as this process tells, and as others read."
        sums = ledger.figures()
        fd = os.open(ledger.directory / ledger.file, os.O_RDONLY)
        entries = Reader(fd, os.fstat(fd).st_size).entries()
        os.close(fd)
        key = (0, name)
        return (
            sums[key].counts[0] if key in sums else 0,
            sum(counts[0] for role, _, _, _, one, _, counts, _ in entries
                if (role, one) == (0, name.encode())),
        )

    def replaced():
        "How many tables there have been."
        with open(ledger.directory / ledger.file, "rb") as file:
            return int.from_bytes(file.read(32)[24:], "little") >> 24
"""


def test_policies_that_come_and_go_replace_the_table_seldom(shared):
    run_apart(
        READ
        + """
    kept = [hf.Timeout(1, name=f"t{n}") for n in range(1_000)]
    before = replaced()
    assert 0 < before < 30
    for n in range(3_000):
        kept[n % 1_000] = hf.Timeout(1, name=f"t{n % 100}")
    assert replaced() - before < 60
    kept.clear()
    hf.Timeout(1, name="other")
    assert replaced() - before < 70
    assert len(ledger._retired) < 400
    """
    )


def test_at_every_moment_the_dead_are_counted_once_here_and_in_the_file(shared):
    run_apart(
        READ
        + """
    kept, calls = [], 0
    for n in range(200):
        kept.append(hf.CircuitBreaker("b"))
        kept[-1].call(int)
        if n % 3:
            kept.pop(n % len(kept))
        assert told() == (n + 1, n + 1)
    kept.clear()
    other = hf.CircuitBreaker("other")
    assert told() == (200, 200)
    assert ledger.living() == {("circuit_breaker", "other")}
    """
    )


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="3.12 collects between bytecodes")
def test_a_table_that_changes_while_it_is_read_is_read_again(shared):
    run_apart(
        READ
        + """
    kept = [hf.CircuitBreaker("b") for _ in range(300)]
    for breaker in kept:
        breaker.call(int)
    changes = []

    def change(phase, info):
        "The collector runs amid the reading; what it calls drops policies and makes others."
        if phase == "start" and len(changes) < 3:
            changes.append(replaced())
            del kept[:60]
            kept.extend(hf.CircuitBreaker(f"other{n}") for n in range(60))

    fd = os.open(ledger.directory / ledger.file, os.O_RDONLY)
    reader = Reader(fd, 1 << 28)
    gc.callbacks.append(change)
    gc.set_threshold(100)
    entries = reader.entries()
    gc.callbacks.remove(change)
    assert len(set(changes)) == 3, changes
    assert sum(one[6][0] for one in entries if one[4] == b"b") == 300
    """
    )


def test_a_policy_is_found_among_many_when_it_gets_another_part(shared):
    """By counting: lines of Python, which do not grow with the policies that there are."""
    run_apart(
        READ
        + """
    def lines(others):
        kept = [hf.CircuitBreaker("b", latency=True) for _ in range(others)]
        seen = 0
        def count(frame, event, _):
            nonlocal seen
            seen += event == "line"
            return count
        sys.settrace(count)
        kept[others // 2].call(int)
        ledger.figures([kept[0]])
        sys.settrace(None)
        return seen

    lines(1)
    assert lines(2_000) <= lines(20)
    """
    )


@pytest.mark.parametrize("what", ["raises", "makes and drops"])
def test_what_interrupts_any_step_neither_loses_nor_doubles_a_count(shared, what):
    """A signal handler that raises, or a finaliser that makes policies, before each bytecode."""
    run_apart(
        READ
        + f"""
    from holdfast import named
    from tests.bytecodes import trace_bytecodes
    files = named.__file__, sys.modules[type(ledger).__module__].__file__
    module = sys.modules[type(ledger).__module__]
    module.DEAD_LEAST = 2
    kept, calls, moment, left = [], 0, 0, 0

    def make():
        global calls
        breaker = hf.CircuitBreaker("b")
        breaker.call(int)
        calls += 1
        return breaker

    def interrupt():
        if {what!r} == "raises":
            raise KeyboardInterrupt
        kept.append(make())
        del kept[:2]

    def trace(frame, event, _):
        global left
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                interrupt()
        return trace

    lives_on = make()
    gc.disable()
    while left <= 0:
        moment += 1
        kept = [make() for _ in range(4)]
        left, extra = moment, None
        del kept[:3]
        trace_bytecodes(trace)
        try:
            extra = hf.CircuitBreaker("b")
        except KeyboardInterrupt:
            pass
        sys.settrace(None)
        del extra
        assert told() == (calls, calls), (moment, calls, told())
        hf.Timeout(1, name="dies")
        ledger.living()  # ends what was interrupted
        assert len(ledger._retired) < 100
    assert moment > 300
    """
    )


def test_ctrl_c_while_the_file_grows_is_not_swallowed(shared):
    run_apart(
        READ
        + """
    def interrupted(fd, offset, length):
        raise KeyboardInterrupt

    kept = [hf.CircuitBreaker("b")]  # makes the file
    allocate, native.allocate = native.allocate, interrupted
    try:
        while len(kept) < 1_000:
            kept.append(hf.CircuitBreaker("b"))
    except KeyboardInterrupt:
        pass
    assert len(kept) < 1_000
    native.allocate = allocate
    kept += [hf.CircuitBreaker("b") for _ in range(1_000)]
    for breaker in kept:
        breaker.call(int)
    assert told() == (len(kept), len(kept)) and ledger.unshared == 0
    """
    )


def test_no_python_code_that_a_signal_handler_could_interrupt_tells_of_a_death(shared):
    """A policy whose death was missed would count as living, and its entry would stay."""
    run_apart(
        READ
        + """
    policies = [hf.CircuitBreaker("b"), hf.RateLimiter("l", rate=1), hf.Timeout(1, name="t")]
    begun = []
    def note(frame, event, _):
        if event == "call":
            begun.append(frame.f_code.co_name)
    sys.setprofile(note)
    del policies[:]
    sys.setprofile(None)
    assert begun in ([], ["__del__"]), begun
    assert len(ledger._dead) == 3 and ledger.living() == set()
    """
    )


def test_a_signal_handler_that_raises_amid_a_burial_doubles_no_count(monkeypatch, tmp_path):
    """Wherever one can run: at the begin of a function, after a call, at a jump back."""
    burials = """
    import dis, gc, sys
    import holdfast as hf
    from holdfast.stores.ledger import ledger
    from tests.bytecodes import trace_bytecodes
    module = sys.modules[type(ledger).__module__]
    steps = "figures", "_bury", "_bury_one", "_sum_up", "_finish_change"
    calls = left = moment = 0

    def make():
        global calls
        breaker = hf.CircuitBreaker("b")
        breaker.call(int)
        calls += 1
        return breaker

    def trace(frame, event, _):
        global left
        if frame.f_code.co_name not in steps:
            return None
        frame.f_trace_opcodes = True
        before = "RESUME"
        names = {one.offset: one.opname for one in dis.get_instructions(frame.f_code)}
        def step(frame, event, _):
            nonlocal before
            global left
            if event == "opcode":
                can_run = before.startswith(("RESUME", "CALL", "JUMP_BACKWARD"))
                before = names.get(frame.f_lasti, "")
                left -= can_run and frame.f_code.co_name != "figures"
                if can_run and left == 0:
                    raise KeyboardInterrupt
            return step
        return step

    lives_on = make()
    gc.disable()
    while left <= 0:
        moment += 1
        kept = [make() for _ in range(8)]
        kept.clear()
        module.DEAD_LEAST = 2 if ledger.file else 100
        left = moment
        trace_bytecodes(trace)
        try:
            ledger.figures()
        except KeyboardInterrupt:
            pass
        sys.settrace(None)
        module.DEAD_LEAST = 1_000_000  # or it would be finished by the next one
        told = ledger.figures()[0, "b"].counts[0]
        assert told == calls, (moment, calls, told)
        module.DEAD_LEAST = 0
        ledger.figures()
    assert moment > 30
    """
    run_apart(burials)
    monkeypatch.setenv("HOLDFAST_DIR", str(tmp_path / "shared"))
    run_apart(burials)


@pytest.mark.parametrize("names", ["one", "own"])
def test_making_one_more_pipeline_takes_as_many_steps_however_many_there_are(shared, names):
    """By counting: lines of Python, which do not grow with the policies that there are."""
    run_apart(
        READ
        + f"""
    def lines():
        seen = 0
        def count(frame, event, _):
            nonlocal seen
            seen += event == "line"
            return count
        sys.settrace(count)
        hf.Pipeline.standard("one more", rate=10)
        sys.settrace(None)
        gc.collect()
        hf.Timeout(1, name="buries it")
        return seen

    gc.disable()
    lines()
    few = [lines() for _ in range(4)]
    names = iter({names!r} == "one" and ["one more"] * 500 or map(str, range(500)))
    kept = [hf.Pipeline.standard(name, rate=10) for name in names]
    many = [lines() for _ in range(4)]
    assert sum(many) <= sum(few) * 1.1, (few, many)
    """
    )


def test_a_policy_that_lives_until_its_process_ends_has_not_been_given_up(shared):
    path = run_apart(
        """
        import holdfast as hf
        from holdfast.stores.ledger import ledger
        living, dropped = hf.CircuitBreaker("living"), hf.CircuitBreaker("dropped")
        del dropped
        print(ledger.directory / ledger.file)
        """
    ).strip()
    with open(path, "rb") as file:
        entries = Reader(file.fileno(), os.fstat(file.fileno()).st_size).entries()
    retired = {name: bool(given_up) for _, _, _, _, name, given_up, _, _ in entries}
    assert retired == {b"living": False, b"dropped": True}


def test_without_a_file_a_name_is_forgotten_with_its_last_policy():
    run_apart(
        """
        import holdfast as hf
        from holdfast.stores.ledger import ledger

        for n in range(100):
            kept = [hf.CircuitBreaker(f"b{n}") for _ in range(3)]
            for one in kept:
                one.call(int)
            del kept[:2], one
            assert ledger.figures()[0, f"b{n}"].counts[0] == 3
        kept.clear()
        assert ledger.figures() == {}
        assert not (ledger._gone or ledger._retired or ledger._entries)
        """
    )
