"""The page of best practices: the code of each habit runs by itself and leaves nothing behind."""

import subprocess
import sys
import textwrap

import pytest

from tests.project import pages

PAGE = pages.all_pages()["docs/best-practices.md"]
HABITS = {
    "Pass on the context": ("hf.deadline(", "hf.check_deadline()"),
    "Clean up": ("hf.ResourceManager(", "resources.stop()"),
    "Wrap errors": ("from error", "register(PriceError"),
    "Watch it": ("hf.log_events()", "hf.PerformanceMonitor("),
}


def blocks_by_habit():
    """Return the code of each section; what stands before the first is part of all."""
    first, *sections = PAGE.text.split("\n## ")
    code = {"": code_of(first)}
    for section in sections:
        heading, _, text = section.partition("\n")
        code[heading] = code_of(text)
    return code


def code_of(text):
    return "\n".join(part.partition("```")[0] for part in text.split("```python\n")[1:])


def test_there_is_a_habit_for_each_of_the_four_practices():  # DO-05
    code = blocks_by_habit()
    assert list(code) == ["", *HABITS]
    for habit, shown in HABITS.items():
        for words in shown:
            assert words in code[habit]


# What the code of a habit leaves: threads, and resources that are registered.
LEFT = """
import threading
others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
for thread in others:
    thread.join(20)
print([thread.name for thread in others if thread.is_alive()])
print([one.count() for one in globals().values() if isinstance(one, hf.ResourceManager)])
"""


@pytest.mark.parametrize("habit", HABITS)
def test_the_code_of_a_habit_runs_and_leaves_nothing(habit):  # DO-05, GEN-04, GEN-06
    code = blocks_by_habit()
    before = [code[""], code["Clean up"]] if habit == "Watch it" else [code[""]]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([*before, code[habit], LEFT])],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    threads, registered = done.stdout.splitlines()
    assert threads == "[]"
    assert registered in {"[]", "[0]"}


def test_a_habit_that_is_not_kept_is_what_the_page_warns_of():  # DO-05
    bare = textwrap.dedent(
        """
        import threading
        import holdfast as hf

        seen = []
        def own_thread():
            thread = threading.Thread(target=lambda: seen.append(hf.deadline()))
            thread.start()
            thread.join()
        hf.Timeout(5).call(own_thread)
        assert seen == [None]

        class PriceError(Exception): ...
        calls = []
        def price():
            calls.append(1)
            raise PriceError from ConnectionError()
        assert not hf.Retry("prices", attempts=3, backoff=0).try_call(price)
        assert len(calls) == 1  # nobody has said what the class means
        """
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", bare], check=False, timeout=60)
    assert done.returncode == 0
