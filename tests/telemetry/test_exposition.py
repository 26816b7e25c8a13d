"""What is written can be read: by strict parsers and by Prometheus' own checker."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.stores.ledger import Ledger
from holdfast.telemetry import families
from tests.telemetry.scraped import Scrape, scrape, text_of

NASTY = ['a"b', "back\\slash", 'x"} 1', "name\\n", "ünïcode — 名前", "{}", "a,b=c", "#", "\\", '"']


def checked(text, require_real):
    promtool = shutil.which("promtool")
    if promtool is None:
        require_real("promtool is not installed: make system-packages")
    return subprocess.run(
        [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )


def everything():
    """Return policies of which nearly every series is shown."""
    clock = hf.ManualClock()
    used = hf.Pipeline.standard("all", rate=10, fallback=1, clock=clock)
    used.call(clock.advance, 31)
    used.call([].pop)
    overridden = hf.CircuitBreaker("overridden")
    with overridden.acquire():
        overridden.force_open()
    return [
        used,
        overridden,
        hf.RateLimiter("observes", rate=1, mode="observe"),
        hf.Timeout(1, name="threads", thread=True),
        hf.PoolBulkhead("pool"),
        hf.Bulkhead("queue", max_waiting=1, max_wait=1),
        hf.Timeout(1, name="t"),
        hf.Fallback(1, name="f"),
        hf.LatencyBudget("y"),
        hf.AdaptiveTimeout(1, name="adaptive"),
        *(hf.CircuitBreaker(name, latency=True) for name in NASTY),
    ]


def test_promtool_finds_nothing_to_say(require_real):  # MX-01 to MX-20, CB-29
    kept = everything()
    for namespace in ("holdfast", "dwcp"):
        done = checked(text_of(namespace=namespace), require_real)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert kept


def test_promtool_would_say_so(require_real):
    done = checked("bad_total 1\n# TYPE bad_total gauge\n", require_real)
    assert done.returncode != 0


@pytest.mark.parametrize("name", NASTY)
def test_a_name_cannot_break_out_of_its_label(name):
    breaker = hf.CircuitBreaker(name)
    breaker.call(len, "")
    seen = Scrape(breaker)
    assert seen("circuit_breaker_requests_total", name=name, result="success") == 1
    assert len(seen.series("circuit_breaker_state")) == 1


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=200), max_size=5))
def test_whatever_a_policy_may_be_named_can_be_read_back(names):
    kept = []
    for name in names:
        try:
            kept.append(hf.CircuitBreaker(name))
        except hf.ConfigError:  # no name to put in a label either
            assert not name.isprintable()
    found = scrape(*kept) if kept else {}
    metric = "holdfast_circuit_breaker_state"
    shown = {dict(labels)["name"] for name, labels in found if name == metric}
    assert shown == {breaker.name for breaker in kept}


def test_each_family_has_one_type_and_one_help():  # MR-12
    kept = everything()
    lines = text_of().splitlines()
    for comment in ("# HELP ", "# TYPE "):
        named = [line.split()[2] for line in lines if line.startswith(comment)]
        assert len(named) == len(set(named)) > 20
    assert kept


def test_histograms_add_up():
    kept = everything()
    kept[0].call(len, "")
    seen = Scrape()
    for name, labels in list(seen.samples):
        if name.endswith("_bucket") and dict(labels)["le"] == "+Inf":
            count = name.removesuffix("_bucket") + "_count"
            without = frozenset(pair for pair in labels if pair[0] != "le")
            assert seen.samples[count, without] == seen.samples[name, labels]


def test_an_empty_process_says_nothing_at_all(ledger: Ledger):
    assert text_of() == ""
    assert ledger.figures() == {}


def test_names_of_families_are_unique_but_for_those_of_several_kinds():
    shared = ("observed", "policy_mode", "timeout_")
    names = [one.name for one in families.FAMILIES if not one.name.startswith(shared)]
    # Of a kind of resource, and of all together.
    twice = ["resources", "resources_limit", "resources_refused"]
    assert sorted(names) == sorted([*set(names), *twice])
