"""What metrics show of components."""

import gc

from holdfast.degradation import DegradationManager, Level
from tests.telemetry.scraped import Scrape


def test_the_level_of_each_component_is_exported_with_its_manager(clock):  # DG-10
    gc.collect()  # thousands of names that another test has left would hide these
    manager = DegradationManager("shop", clock=clock)
    manager.component("cart")
    manager.set("search", Level.SEVERELY_DEGRADED)
    scrape = Scrape()
    assert scrape("degradation_level", manager="shop", component="cart") == 0
    assert scrape("degradation_level", manager="shop", component="search") == 2


def test_changes_and_seconds_are_counted_up_to_the_scrape(clock):  # DG-02, DG-10
    component = DegradationManager("counted", stable_time=0, clock=clock).component("search")
    of = {"manager": "counted", "component": "search"}
    component.set(Level.DEGRADED)
    clock.advance(2)
    component.set(Level.EMERGENCY)
    clock.advance(3)
    for seconds in (3, 7):
        scrape = Scrape()
        assert scrape("degradation_seconds_total", level="degraded", **of) == 2
        assert scrape("degradation_seconds_total", level="severely_degraded", **of) == 0
        assert scrape("degradation_seconds_total", level="emergency", **of) == seconds
        clock.advance(4)
    changes = [scrape("degradation_changes_total", level=level.word, **of) for level in Level]
    assert changes == [0, 1, 0, 1]
    assert not {
        labels
        for labels in scrape.series("degradation_shed_total")
        if of.items() <= dict(labels).items()
    }


def test_calls_that_were_shed_are_counted_by_their_priority():
    component = DegradationManager("sheds").component("search")
    component._kernel.count_shed(3)
    scrape = Scrape()
    of = {"manager": "sheds", "component": "search"}
    assert scrape("degradation_shed_total", priority="sheddable", **of) == 1
    assert scrape("degradation_shed_total", priority="normal", **of) == 0


def test_names_may_hold_any_printable_character():
    manager, component = "a/b: 1 2/" * 22, "ä" * 200
    kept = DegradationManager(manager).component(component)
    assert Scrape()("degradation_level", manager=manager, component=component) == kept.level


def test_the_series_of_a_component_goes_with_it():
    manager = DegradationManager("gone")
    manager.component("c")
    of = frozenset({"manager": "gone", "component": "c"}.items())
    assert of in Scrape().series("degradation_level")
    del manager
    gc.collect()
    assert of not in Scrape().series("degradation_level")
