"""The alert on limits, on what managers of resources have registered."""

import shutil

import pytest

import holdfast as hf
import holdfast.resources.figures
from holdfast.stores.ledger import Ledger
from holdfast.telemetry import prometheus
from tests.telemetry.promtool import Watch, firing

MINUTE = 60
OF_CONNECTIONS, OF_ALL = {"type": "shop/connection"}, {"type": "shop/total"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch, require_real):
    """Without promtool there is no test; and no resources of other tests."""
    if shutil.which("promtool") is None:
        require_real("promtool is not installed: make system-packages")
    fresh = Ledger()
    for module in (holdfast.resources.figures, prometheus):
        monkeypatch.setattr(module, "ledger", fresh)


@pytest.fixture
def clock():
    return hf.ManualClock()


@pytest.fixture
def resources(clock):
    resources = hf.ResourceManager("shop", limits={"connection": 10}, clock=clock)
    yield resources
    resources.stop()


@pytest.fixture
def watch(clock, resources):
    types = [f"shop/{kind}" for kind in resources.kinds]
    watch = Watch(clock, resources=[*types, "shop/total"])
    watch.add()
    return watch


def fill(resources, kind, n, first=0, amount=1):
    for at in range(first, first + n):
        resources.register(f"{kind}{at}", kind, amount=amount)


def test_more_than_80_percent_of_a_kind_fire_after_five_minutes(resources, watch, tmp_path):
    fill(resources, "connection", 8)  # AR-09
    watch.during(10 * MINUTE)
    uses = watch.now
    fill(resources, "connection", 1, 8)
    watch.during(10 * MINUTE)
    ends = watch.now
    resources.unregister("connection0")
    watch.during(5 * MINUTE)
    text = "90% of the limit of shop/connection are used"
    watch.check(
        tmp_path,
        firing("ResourceUsageHigh", uses + 5 * MINUTE, ends, **OF_CONNECTIONS),
        texts=[(ends - MINUTE, "ResourceUsageHigh", text)],
    )


def test_all_kinds_together_fire_though_none_is_near_its_limit(resources, watch, tmp_path):
    resources.set_max(10)  # AR-09
    fill(resources, "timer", 3)
    fill(resources, "file", 3)
    fill(resources, "memory", 3, amount=1 << 30)
    watch.during(10 * MINUTE)
    watch.check(tmp_path, firing("ResourceUsageHigh", 5 * MINUTE, **OF_ALL))


def test_another_limit_ends_the_alert(resources, watch, tmp_path):  # AR-09, RS-08
    fill(resources, "connection", 10)
    watch.during(10 * MINUTE)
    ends = watch.now
    resources.set_limit("connection", 20)
    watch.during(10 * MINUTE)
    watch.check(tmp_path, firing("ResourceUsageHigh", 5 * MINUTE, ends, **OF_CONNECTIONS))
