"""The pytest plugin, in pytest processes of its own."""

import pytest

pytest_plugins = ["pytester"]

OPTIONS = ("-q", "-p", "no:cacheprovider", "--strict-markers", "-W", "error")
# What else is installed takes a second to load, and is none of this.
LEAN = ("-p", "pytest_holdfast", "--disable-plugin-autoload")


@pytest.fixture
def outcomes(pytester):
    """Run a test file in a process of its own, and return how its tests ended."""

    def run(source, **expected):
        pytester.makepyfile(source)
        # The finder of an editable install is found before pytest could rewrite it.
        editable = ("-W", "ignore:Module already imported so cannot be rewritten; _editable")
        done = pytester.runpytest_subprocess(*OPTIONS, *LEAN, *editable)
        done.assert_outcomes(**expected)
        return done

    return run


def test_nothing_of_holdfast_is_imported_before_the_tests_are(pytester):
    pytester.makeconftest(
        """
        import sys

        def pytest_configure(config):
            assert config.pluginmanager.has_plugin("pytest_holdfast") or (
                config.pluginmanager.has_plugin("holdfast"))
            loaded = [name for name in sys.modules if name.split(".")[0] == "holdfast"]
            assert not loaded, loaded
        """
    )
    pytester.makepyfile("def test_nothing(): pass")
    done = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)


def test_policies_made_in_the_test_read_its_clock(outcomes):
    outcomes(
        """
        import holdfast as hf

        def test_time_is_moved_by_hand(holdfast_clock):
            breaker = hf.CircuitBreaker("db", failure_threshold=1, reset_timeout=30)
            breaker.trip()
            assert not breaker.peek()
            holdfast_clock.advance(30)
            assert breaker.peek()

        def test_a_clock_of_its_own_is_kept(holdfast_clock):
            own = hf.ManualClock(7)
            limiter = hf.RateLimiter("l", rate=1, per=60, clock=own)
            assert limiter.try_acquire() and not limiter.try_acquire()
            holdfast_clock.advance(60)
            assert not limiter.try_acquire()

        def test_afterwards_time_is_the_systems_again():
            assert hf.Retry("r")._clock.now() > 0
            assert isinstance(hf.Retry("r")._clock, hf.SystemClock)
        """,
        passed=3,
    )


def test_the_registry_of_a_test_is_empty_and_gone_afterwards(outcomes):
    outcomes(
        """
        import holdfast as hf

        outer = hf.CircuitBreaker("outer", shared=True)

        def test_it_begins_empty(holdfast_registry):
            assert holdfast_registry is hf.registry
            assert hf.registry.all() == []
            inner = hf.CircuitBreaker("outer", failure_threshold=1, shared=True)
            assert inner is not outer
            assert hf.registry.get("circuit_breaker", "outer") is inner

        def test_what_was_there_is_back():
            assert hf.registry.get("circuit_breaker", "outer") is outer
            assert hf.registry.all() == [outer]
        """,
        passed=2,
    )


def test_events_are_recorded_in_order(outcomes):
    done = outcomes(
        """
        import holdfast as hf
        from holdfast.testing import Script

        def recover(clock):
            script = Script().fails(ConnectionError, times=2).returns("ok", times=None)
            pipe = hf.Pipeline("p", hf.CircuitBreaker(
                "db", failure_threshold=2, success_threshold=1, reset_timeout=30))
            for _ in range(3):
                pipe.try_call(script)
            clock.advance(30)
            assert pipe.call(script) == "ok"

        def test_the_breaker_opens_and_closes(holdfast_clock, holdfast_events):
            recover(holdfast_clock)
            holdfast_events.assert_order(
                "db: closed -> open", "rejection (open)",
                "open -> half-open", "db: half-open -> closed")

        def test_a_wrong_order_is_shown(holdfast_clock, holdfast_events):
            recover(holdfast_clock)
            holdfast_events.assert_order("db: open -> half-open", "db: closed -> open")
        """,
        passed=1,
        failed=1,
    )
    done.stdout.fnmatch_lines(
        ["*missing: 'db: closed -> open'*", "*30.000 s  db: open -> half-open*"]
    )


def test_the_marker_switches_retries_off(outcomes):
    outcomes(
        """
        import asyncio
        import pytest
        import holdfast as hf

        calls = []
        before = hf.Retry("r", attempts=5, backoff=hf.Constant(100))

        @before
        def fail():
            calls.append(1)
            raise ConnectionError

        async def afail():
            fail.__wrapped__()

        @pytest.fixture
        def during_the_fixtures():
            yield fail_once()
            fail_once()

        def fail_once():
            calls.clear()
            with pytest.raises(ConnectionError):
                fail()
            assert len(calls) == 1

        @pytest.mark.holdfast(retries=False)
        def test_one_attempt_in_threads_and_tasks(during_the_fixtures):
            fail_once()
            calls.clear()
            with pytest.raises(ConnectionError):
                asyncio.run(before.acall(afail))
            assert len(calls) == 1

        def test_otherwise_they_are_on(holdfast_clock):
            calls.clear()
            retry = hf.Retry("r", attempts=5, backoff=hf.Constant(100))
            with pytest.raises(ConnectionError):
                retry.call(fail.__wrapped__)
            assert len(calls) == 5

        @pytest.mark.holdfast(retries=False)
        class TestAll:
            def test_of_a_class(self):
                fail_once()
        """,
        passed=3,
    )


def test_a_marker_that_says_nothing_is_an_error(pytester):
    wrong = ["retries=None", "False", "retrys=False", "retries=0"]
    marked = (f"@mark({given})\ndef test_{at}(): pass" for at, given in enumerate(wrong))
    pytester.makepyfile("import pytest\nmark = pytest.mark.holdfast\n" + "\n".join(marked))
    done = pytester.runpytest_subprocess(*OPTIONS, *LEAN)
    done.assert_outcomes(errors=len(wrong))
    refusal = "*mark holdfast: got *allowed retries=True or retries=False*"
    done.stdout.fnmatch_lines([refusal] * len(wrong))
