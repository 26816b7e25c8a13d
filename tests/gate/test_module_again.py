"""Native modules are loaded once, by the main interpreter; an import again gets the living ones."""

import textwrap
from pathlib import Path

import pytest

from tests.apart import run_apart

PURGES = {
    "everything": "name.split('.')[0] == 'holdfast'",
    "the package alone": "name == 'holdfast'",
    "Python only": "name.split('.')[0] == 'holdfast' and '_native' not in name",
    "native only": "'_native' in name",
    "the gate": "name == 'holdfast._native.gate'",
}


def run_with(source: str, **texts: str) -> None:
    source = textwrap.dedent(source)
    for name, text in texts.items():
        source = source.replace(name, text)
    run_apart(source)


@pytest.mark.parametrize("purge", PURGES)
def test_what_was_taken_out_of_sys_modules_is_imported_again(purge: str) -> None:
    run_with(
        """
        import asyncio, gc, os, sys
        import holdfast as old
        from holdfast._native import gate

        def policies(hf):
            clock = hf.ManualClock()
            breaker = hf.CircuitBreaker("b", failure_threshold=1, clock=clock)
            standard = hf.Pipeline.standard("p", rate=1e6, attempts=2, clock=clock)
            return breaker, standard, hf.Bulkhead("places", max_waiting=1, max_wait=1.0)

        def use(hf, breaker, standard, places):
            async def work():
                await asyncio.sleep(0)
                return hf.deadline() is not None

            async def main():
                assert await standard.acall(work)
                async with places:
                    assert places.in_flight == 1

            asyncio.run(main())
            assert breaker(int)() == breaker.call(int) == standard(int)() == 0
            assert hf.Timeout(5).call(hf.deadline) <= 5
            with places, hf.Timeout(5):
                assert places.in_flight == 1
            breaker.trip()
            try:
                breaker.call(int)
            except hf.CircuitOpenError as error:
                assert isinstance(error, hf.HoldfastError)
                assert error.policy is breaker
            else:
                raise AssertionError("open")
            breaker.reset()
            assert not standard.lint()
            for policy in (breaker, standard, places):
                assert policy.snapshot() and policy.describe()

        kept = policies(old)
        use(old, *kept)
        for turn in range(3):
            for name in [name for name in sys.modules if PURGED]:
                del sys.modules[name]
            import holdfast as new
            from holdfast._native import gate as again
            assert again is gate
            use(new, *policies(new))
            use(old, *kept)
            gc.collect()
        pid = os.fork()
        if pid == 0:
            use(old, *kept)
            use(new, *policies(new))
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        use(old, *kept)
        """,
        PURGED=PURGES[purge],
    )


def test_modules_are_reloaded_in_place() -> None:
    run_apart(
        """
        import importlib
        import holdfast
        from holdfast._native import breaker, gate

        policy = holdfast.CircuitBreaker("b")
        for module in (gate, breaker, holdfast):
            assert importlib.reload(module) is module
        assert policy.call(int) == holdfast.CircuitBreaker("c").call(int) == 0
        """
    )


def test_an_import_again_goes_on_in_the_file_that_workers_share(tmp_path: Path) -> None:
    run_with(
        """
        import os, sys
        os.environ["HOLDFAST_DIR"] = DIRECTORY
        import holdfast as old
        first = old.CircuitBreaker("first")
        files = len(os.listdir(DIRECTORY))
        for name in [name for name in sys.modules if name.split(".")[0] == "holdfast"]:
            del sys.modules[name]
        import holdfast as new
        second = new.CircuitBreaker("second")
        assert first.call(int) == second.call(int) == 0
        assert len(os.listdir(DIRECTORY)) == files
        from holdfast.stores.ledger import ledger
        assert {name for _, name in ledger.living()} == {"first", "second"}
        """,
        DIRECTORY=repr(str(tmp_path)),
    )


INTERPRETERS = """
import textwrap
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def create(isolated):
    try:
        return interpreters.create(isolated=isolated)
    except TypeError:
        return interpreters.create("isolated" if isolated else "legacy")

def attempt(isolated):
    number = create(isolated)
    source = '''
    def attempt():
        try:
            import holdfast
        except ImportError as error:
            assert "subinterpreter" in str(error), error
        else:
            raise SystemError("another interpreter got it")

    attempt()
    attempt()
    '''
    error = interpreters.run_string(number, textwrap.dedent(source))
    assert error is None, error
    interpreters.destroy(number)

if FIRST:
    attempt(ISOLATED)
import holdfast as hf
breaker = hf.CircuitBreaker("b")
guard = breaker(int)
for turn in range(2):
    attempt(ISOLATED)
    assert guard() == breaker.call(int) == 0
    with breaker:
        pass
assert breaker.snapshot().succeeded == 6
"""


@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_subinterpreter_is_told_that_it_is_one_and_the_main_one_goes_on(
    isolated: bool, first: bool
) -> None:
    run_with(INTERPRETERS, ISOLATED=str(isolated), FIRST=str(first))
