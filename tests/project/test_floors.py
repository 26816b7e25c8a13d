"""No module of the package imports from a floor above its own."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.project.floors import faults, import_circles, imports_of_python
from tests.project.gate_files import circles, needs

ROOT = Path(__file__).resolve().parents[2]
ABOVE = "imports holdfast.%s, which stands above it"


def test_nothing_imports_from_above():
    assert faults(ROOT / "src" / "holdfast", ROOT / "csrc" / "python") == []


def test_every_package_of_an_extra_for_users_is_imported():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"]
    named = [line for extra in ("agent", "redis", "system", "prometheus") for line in extras[extra]]
    wanted = {re.match(r"[\w-]+", line)[0].lower().replace("-", "_") for line in named}
    wanted = {{"pyyaml": "yaml"}.get(one, one) for one in wanted}
    imported = {
        module.split(".")[0]
        for folder in ("src", "examples")
        for source in (ROOT / folder).rglob("*.py")
        for _, module in imports_of_python(source.read_text(encoding="utf-8"))
    }
    assert wanted - imported == set()


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        (
            "policies/breaker.py",
            "from holdfast.pipeline.pipeline import P",
            ABOVE % "pipeline.pipeline",
        ),
        ("clock.py", "def late():\n    from holdfast import pipeline", ABOVE % "pipeline"),
        ("errors.py", "import_module('holdfast.agent.cli')", ABOVE % "agent.cli"),
        ("waiting/aio.py", "import holdfast", "imports the package root"),
        ("waiting/aio.py", "from holdfast import Clock", "imports the package root"),
        ("waiting/aio.py", "from . import parking", "relative import"),
        ("policies/limiter.py", "import time", "imports time, but policies neither"),
        ("policies/limiter.py", "from asyncio import sleep", "imports asyncio, but policies"),
        ("policies/limiter.py", "import logging", "imports logging, but policies neither"),
        ("agent/cli.py", "import prometheus_client", "is for telemetry/prometheus.py"),
        ("pipeline/pipeline.py", "import numpy as np", "imports numpy, which is for nobody"),
        ("misc.py", "", "stands on no floor"),
        ("_native/clock.pyx", "from holdfast.clock import Clock", ABOVE % "clock"),
    ],
)
def test_a_planted_fault_is_found(tmp_path, path, source, fault):
    planted = tmp_path / path
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(source)
    found = faults(tmp_path)
    assert any(line.startswith(path) and fault in line for line in found), found


def test_a_module_that_c_imports_from_above_is_found(tmp_path):
    gate = tmp_path / "gate"
    gate.mkdir()
    (gate / "guard.c").write_text('x = PyImport_ImportModule("holdfast.waiting.streams");')
    assert faults(tmp_path / "package", gate) == [
        "guard.c:1: imports holdfast.waiting.streams, which stands above it"
    ]


def test_imports_from_below_and_beside_are_fine(tmp_path):
    for path, source in {
        "policies/breaker.py": "import math\nfrom holdfast.policies.base import Policy\n"
        "from holdfast._native.breaker import Breaker",
        "telemetry/prometheus.py": "import prometheus_client\n"
        "from holdfast.registry import registry",
        "_native/breaker.pyx": "from libc.stdint cimport int64_t\n"
        "from holdfast._native.binding cimport whole",
        "__init__.py": "from holdfast.pipeline.pipeline import Pipeline",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(source)
    assert faults(tmp_path) == []


def test_an_import_of_degradation_by_health_is_found(tmp_path):
    (tmp_path / "health").mkdir()
    (tmp_path / "health/monitor.py").write_text("from holdfast.degradation.level import Level\n")
    assert faults(tmp_path) == [
        "health/monitor.py:1: imports holdfast.degradation.level, which it is not to know"
    ]


def test_no_file_of_the_gate_needs_one_that_needs_it():
    assert circles(ROOT / "csrc" / "python") == []


def test_the_gates_files_need_what_they_are_known_to_need():
    needed = needs(ROOT / "csrc" / "python")
    assert "hf_breaker_step_enter" in needed["steps.c"]["step_breaker.c"]  # made by a macro
    assert "hf_fork_epoch" in needed["guard.c"]["base.c"]  # an object, by an inline function
    assert "hf_chain" in needed["step_breaker.c"]["base.c"]  # a function


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("void\nhf_low(void)\n{\n    hf_high();\n}", "void\nhf_high(void)\n{\n    hf_low();\n}"),
        ("int hf_low;\nint *at = &hf_high;", "int hf_high = 1;\nint *at = &hf_low;"),
        (
            "void\nhf_low(void)\n{\n}\nint x = sizeof hf_high_of();",
            "HF_MADE(high)\nint y = hf_low();",
        ),
    ],
)
def test_a_planted_circle_is_found(tmp_path, low, high):
    (tmp_path / "all.h").write_text(
        "#define HF_MADE(name) \\\n    int hf_##name##_of(void) \\\n    { \\\n    }\n"
    )
    (tmp_path / "low.c").write_text(low)
    (tmp_path / "high.c").write_text(high)
    assert [line.split(" for ")[0] for line in circles(tmp_path)] == [
        "high.c needs low.c",
        "low.c needs high.c",
    ]
    (tmp_path / "low.c").write_text(low.replace("hf_high", "other"))
    assert circles(tmp_path) == []


def test_no_modules_import_each_other_in_a_circle():
    assert import_circles(ROOT / "src" / "holdfast") == []


@pytest.mark.parametrize(
    "source",
    [
        "from holdfast.policies.breaker import CircuitBreaker",
        "import holdfast.policies.breaker",
        "def snapshot():\n    from holdfast.policies.breaker import CircuitBreaker",
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from holdfast.policies import breaker",
    ],
    ids=["from a module", "a module", "inside a function", "for types alone"],
)
def test_a_planted_circle_of_imports_is_found(tmp_path, source):
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "breaker.py").write_text("from holdfast.policies.rules import read_rules")
    (policies / "rules.py").write_text("from holdfast.policies.windows import CountWindow")
    (policies / "windows.py").write_text(source)
    (policies / "limiter.py").write_text("from holdfast.policies.breaker import CircuitBreaker")
    names = ["breaker", "rules", "windows"]
    assert import_circles(tmp_path) == [[f"holdfast.policies.{name}" for name in names]]
