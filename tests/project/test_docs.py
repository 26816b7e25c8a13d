"""What the documents show works, and what they list is complete."""

import ast
import configparser
import importlib.util
import inspect
import logging
import os
import re
import subprocess
import sys
import tomllib

import pytest

import holdfast as hf
from holdfast._native.retry import VERDICTS
from holdfast.events import _FIELDS
from holdfast.policies.breaker import breaker
from holdfast.records import LEVELS
from holdfast.transitions import fields_of
from tests.apart import without_openings
from tests.project import pages
from tests.project.pages import DOCS, ROOT, Page

PAGES = pages.all_pages()
NAMES = sorted(PAGES)
START = "docs/index.md"
SETTINGS = (
    *("docs/policies/", "docs/health.md", "docs/manager.md", "docs/component-manager.md"),
    *("docs/supervision.md", "docs/resources.md", "docs/performance-monitor.md"),
    "docs/optimiser.md",
)
POLICIES = [name for name in NAMES if name.startswith(SETTINGS)]
# Written by `make docs`, and for contributors: they cite the specification.
GENERATED = {"docs/mutants.md", "docs/requirements.md", "docs/traps.md"}


# ---- blocks ----

# Runs each page in a namespace of its own; the process is shared, because a start takes long.
RUN = """
import pathlib, sys, traceback
failed = False
for code, page in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        exec(compile(pathlib.Path(code).read_text(), page, "exec"), {"__name__": "__main__"})
    except BaseException:
        failed = True
        traceback.print_exc()
sys.exit(failed)
"""


def missing_for(code: str) -> set[str]:
    """Return the packages that a page imports and that are not installed."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return {name for name in found if importlib.util.find_spec(name) is None}


@pytest.mark.parametrize("folder", ["docs", "docs/policies", "docs/recipes"])
def test_the_python_blocks_of_each_page_run_one_after_the_other(folder, tmp_path, require_real):
    programs = {
        name: page.program("python")
        for name, page in PAGES.items()
        if name.rpartition("/")[0] == folder and page.blocks("python")
    }
    assert programs
    missing = {name: packages for name, code in programs.items() if (packages := missing_for(code))}
    arguments = []
    for at, (name, code) in enumerate(programs.items()):
        if name not in missing:
            (tmp_path / f"{at}.py").write_text(code)
            arguments += [tmp_path / f"{at}.py", ROOT / name]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, *arguments],
        capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    quiet = "chaos is ENABLED|circuit breaker 'api'|gather:|degraded mode is on|load shedding of"
    warned = rf"(?m)^({quiet}|High resource count:) .*\n"
    told = re.sub(warned, "", without_openings(done.stderr))
    assert (done.returncode, told) == (0, ""), done.stderr
    if missing:
        require_real(f"not installed: {missing}")


def test_the_tests_that_pages_show_pass(tmp_path):
    blocks = [block for page in PAGES.values() for block in page.blocks("py")]
    for at, block in enumerate(blocks):
        (tmp_path / f"test_shown_{at}.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-qp", "no:cacheprovider", "-p", "pytest_holdfast", "."],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_other_blocks_of_all_pages_can_be_parsed():
    for page in PAGES.values():
        for block in page.blocks("toml"):
            tomllib.loads(block)
        for block in page.blocks("ini"):
            configparser.ConfigParser().read_string(block)
        for block in page.blocks("sh"):
            done = subprocess.run(
                ["bash", "-n"], input=block, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{page.name}: {done.stderr}"


def test_every_block_says_what_it_is():
    languages = {"", "ini", "py", "python", "sh", "text", "toml", "yaml", "c"}
    assert {one for page in PAGES.values() for one in page.languages()} <= languages
    written_for_users = [
        name for name in NAMES if "/design/" not in name and name != "ARCHITECTURE.md"
    ]
    assert [name for name in written_for_users if "" in PAGES[name].languages()] == []


# ---- links ----


def test_the_links_of_all_pages_lead_to_a_page_and_a_heading():
    assert [broken for page in PAGES.values() for broken in pages.broken_links(page, PAGES)] == []


@pytest.mark.parametrize(
    ("link", "broken"),
    [
        ("b.md#two-words--more", False),
        ("b.md#two-words", True),
        ("#own", False),
        ("c.md", True),
        ("b.md", False),
    ],
)
def test_a_broken_link_or_anchor_is_found(tmp_path, link, broken):
    (tmp_path / "b.md").write_text("# Two `words` – more\n\n```sh\n# comment\n```\n")
    (tmp_path / "a.md").write_text(f"# Own\n\n[here]({link})\n")
    there = {name: Page(name, tmp_path / name) for name in ("a.md", "b.md")}
    assert bool(pages.broken_links(there["a.md"], there)) is broken


def test_every_page_can_be_reached_from_the_start_page():
    reached, next_ones = set(), [START]
    while next_ones:
        name = next_ones.pop()
        if name not in reached and name in PAGES:
            reached.add(name)
            next_ones += [target for target, _ in PAGES[name].targets()]
    assert sorted({name for name in NAMES if name.startswith("docs/")} - reached) == []


def test_the_readme_leads_to_the_start_page():
    assert START in [target for target, _ in PAGES["README.md"].targets()]


# ---- what the pages promise ----


def test_pages_for_users_carry_no_identifier_of_the_specification():
    chapters = "|".join(pages.chapters())
    items = re.compile(rf"\b(?:D-)?(?:{chapters})-\d{{1,2}}\b|\btraps? \d")
    users = {*NAMES} - GENERATED - {"CONTRIBUTING.md", "ARCHITECTURE.md"}
    assert [(name, hit[0]) for name in users for hit in items.finditer(PAGES[name].text)] == []


def test_pages_are_short():
    most = {"docs/policies/": 120, "docs/recipes/": 60}
    assert [
        name
        for start, lines in most.items()
        for name in NAMES
        if name.startswith(start) and len(PAGES[name].text.splitlines()) > lines
    ] == []


@pytest.mark.parametrize("name", POLICIES)
def test_the_settings_of_the_page_are_those_of_the_class(name):
    tables = PAGES[name].tables("setting", "default")
    assert tables
    for heading, rows in tables:
        callee = pages.named_in(heading)
        signature = inspect.signature(callee)
        expected = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.name != "self"
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        shown = [row[0].strip("`") for row in rows]
        assert shown == [parameter.name for parameter in expected], heading
        for row, parameter in zip(rows, expected, strict=True):
            pages.check_default(f"{heading}: {parameter.name}", row[1], parameter)


def test_every_policy_has_a_page():
    headings = {heading for name in POLICIES for heading, _ in PAGES[name].tables("setting")}
    shown = {re.search(r"`(\w+)", heading)[1] for heading in headings}
    exported = {name: getattr(hf, name) for name in hf.__all__}
    policies = {
        name for name, one in exported.items() if hasattr(one, "on_event") and one is not hf.Policy
    }
    assert policies - shown == set()


def test_the_page_of_metrics_names_every_family():
    from holdfast.telemetry.families import FAMILIES

    page = (DOCS / "metrics.md").read_text()
    for family in FAMILIES:
        short = "_".join(family.name.split("_")[2:])
        assert family.name in page or f"…_{short}" in page, family.name


def test_every_metric_that_a_page_names_exists():
    from holdfast.telemetry.families import FAMILIES

    metrics = {f"holdfast_{family.name}" for family in FAMILIES}
    fields = {*fields_of(hf.Event("rejection", None, None)), "holdfast_repeated"}  # of records
    fixtures = {"holdfast_chaos", "holdfast_clock", "holdfast_events", "holdfast_registry"}
    unknown = [
        (page.name, name)
        for page in PAGES.values()
        if page.name not in GENERATED
        for name, more in re.findall(r"\b(holdfast_[a-z]\w+)(…?)", page.text)
        if name.removesuffix("_total") not in metrics | fixtures | fields
        and not (more and any(metric.startswith(name) for metric in metrics))
    ]
    assert unknown == []


# ---- lists that are in the code as well ----


def first_cells(page: str, *columns: str) -> set[str]:
    """Return the code in the first column of a table."""
    [(_, rows)] = PAGES[page].tables(*columns)
    return {row[0].strip("`") for row in rows}


def test_the_page_of_warnings_lists_every_code():
    source = (ROOT / "src" / "holdfast" / "pipeline" / "lint.py").read_text()
    codes = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    assert first_cells("docs/lint.md", "code") == codes


def test_the_page_of_retries_lists_every_reason_to_give_up():
    assert first_cells("docs/policies/retry.md", "why not") == set(VERDICTS[1:])


def test_the_page_of_breakers_lists_every_state():
    states = {state.value for state in hf.State}
    assert first_cells("docs/policies/circuit-breaker.md", "state") == states


def test_the_page_of_events_lists_every_kind():
    kinds = set()
    for path in (ROOT / "src" / "holdfast").rglob("*.py"):
        kinds |= set(re.findall(r'(?:_emit|\bEvent)\(\s*"(\w+)"', path.read_text()))
    kinds |= {"transition", "override"}  # chosen between them
    assert first_cells("docs/events.md", "kind") == kinds


def test_the_page_of_events_lists_every_attribute_of_an_event():
    [(_, rows)] = PAGES["docs/events.md"].tables("attribute of an event")
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row[0])} == set(_FIELDS)


def test_the_page_of_logs_lists_every_record_with_its_level():
    [(_, rows)] = PAGES["docs/logs.md"].tables("record", "level")
    shown = {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert shown == {
        name: "none" if level is None else logging.getLevelName(level)
        for name, level in LEVELS.items()
    }


def test_the_page_of_events_lists_every_reason_of_a_transition():
    rules = {*breaker.RULES, *breaker._REASONS.values()} - {""}
    assert first_cells("docs/events.md", "rule") == rules


def test_the_page_of_events_lists_every_reason_of_a_rejection():
    source = (ROOT / "csrc" / "python" / "rejected.c").read_text()
    words = re.search(r"reason_words\[HF_REASONS\] = \{(.*?)\}", source, re.DOTALL)[1]
    reasons = set(re.findall(r'"([\w-]+)"', words)) - {"closed", "disabled", "metrics-only"}
    assert first_cells("docs/events.md", "reason") == reasons


def test_the_page_of_events_lists_every_error_with_its_code_and_attributes():
    classes = [hf.HoldfastError]
    for cls in classes:  # grows as it is walked
        classes += [one for one in cls.__subclasses__() if one.__name__ in hf.__all__]
    expected = {cls.__name__: (cls.code, attributes_of(cls)) for cls in classes}
    [(_, rows)] = PAGES["docs/events.md"].tables("error")
    assert {
        error.strip("`"): (code.strip("`"), set(re.findall(r"`(\w+)`", attributes)))
        for error, code, _, attributes, _ in rows
    } == expected


def attributes_of(cls: type[BaseException]) -> set[str]:
    """Return the public attributes that a class adds to those of its bases."""
    names = {*vars(cls), *vars(cls).get("__annotations__", {})}
    return {name for name in names if not name.startswith("_")} - {"args", "code", "summary"}
