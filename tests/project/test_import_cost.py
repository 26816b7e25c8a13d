"""`import holdfast` brings in little: what costs time is imported by what needs it."""

import subprocess
import sys

HEAVY = {
    "asyncio", "concurrent.futures", "dataclasses", "inspect", "logging", "numpy",
    "prometheus_client", "socket", "ssl", "typing",
}  # fmt: skip

NEWLY_IMPORTED = """
import sys
before = set(sys.modules)
import holdfast
print(*sorted(set(sys.modules) - before))
"""


def newly_imported() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", NEWLY_IMPORTED], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_holdfast_imports_nothing_heavy():
    assert newly_imported() & HEAVY == set()


def test_importing_holdfast_imports_nothing_outside_the_standard_library():
    foreign = {name.split(".")[0] for name in newly_imported()} - sys.stdlib_module_names
    # `cython_runtime` and `_cython_…` are modules the bindings make in memory.
    assert {name for name in foreign if "cython" not in name} == {"holdfast"}
