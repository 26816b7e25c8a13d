"""Features: off by hand, by a level, or with what they need."""

import pytest

import holdfast as hf
from holdfast.degradation import DegradationManager, Level

NORMAL, DEGRADED, SEVERELY, EMERGENCY = Level


@pytest.fixture
def manager(clock):
    return DegradationManager("shop", stable_time=30, clock=clock)


def told(manager):
    """Return a list that gets name, new and reason of each event of a feature."""
    events = []

    def listener(event):
        if event.kind == "feature":
            assert event.old is not event.new
            events.append((event.name, event.new, event.reason))

    manager.on_event(listener)
    return events


def test_a_feature_that_nobody_knows_is_enabled(manager):  # DG-06
    assert manager.is_enabled("unknown") is True
    assert manager.features.all() == {}
    assert manager.features.get("unknown") is None


def test_a_feature_is_asked_for_by_its_name(manager):
    feature = manager.feature("search")
    with pytest.raises(TypeError, match=r"takes the name of a feature, got <Feature 'search'"):
        manager.is_enabled(feature)


def test_features_are_enabled_and_disabled_by_hand(manager):  # DG-06
    flags = manager.features
    flags.disable("search")
    flags.set("export", True)
    assert not manager.is_enabled("search")
    assert flags.all() == {"search": False, "export": True}
    flags.enable("search")
    flags.set("export", False)
    assert flags.all() == {"search": True, "export": False}
    assert "search" in flags
    assert [feature.name for feature in flags] == ["search", "export"]
    assert len(flags) == 2


def test_a_feature_is_on_up_to_a_level_of_its_component(manager):
    hints = manager.feature("hints", "search", up_to=NORMAL)
    pages = manager.feature("pages", "search", up_to=SEVERELY)
    usual = manager.feature("usual", manager.component("search"))
    for level, on in [
        (NORMAL, (True, True, True)),
        (DEGRADED, (False, True, True)),
        (SEVERELY, (False, True, False)),
        (EMERGENCY, (False, False, False)),
    ]:
        manager.component("search").force(level)
        assert (hints.enabled, pages.enabled, usual.enabled) == on
        assert tuple(map(manager.is_enabled, ("hints", "pages", "usual"))) == on


def test_a_feature_is_on_again_once_the_level_has_risen(manager, clock):
    hints = manager.feature("hints", "search")
    manager.set("search", SEVERELY)
    manager.recover("search", "manual")
    clock.advance(29)
    assert not hints.enabled
    clock.advance(1)
    assert hints.enabled


def test_a_feature_that_is_declared_while_the_level_is_bad_is_off(manager):
    manager.set("search", EMERGENCY)
    assert not manager.feature("hints", "search").enabled


def test_a_feature_is_off_without_any_feature_that_it_needs(manager):
    manager.feature("checkout", needs=("cart", "payment"))
    manager.feature("cart", needs="session")
    gift = manager.feature("gift", needs=["checkout"])
    manager.features.disable("session")
    assert manager.features.all() == {
        "session": False,
        "cart": False,
        "payment": True,
        "checkout": False,
        "gift": False,
    }
    manager.features.disable("gift")
    manager.features.enable("session")
    assert not gift.enabled  # disabled by hand as well
    manager.features.enable("gift")
    assert all(manager.features.all().values())


def test_what_needs_a_feature_goes_off_before_it_and_on_after_it(manager, clock):
    manager.feature("gift", needs=("checkout",))
    manager.feature("checkout", "orders", needs=("cart",))
    manager.feature("cart", "orders", needs=())
    events = told(manager)
    manager.set("orders", EMERGENCY)
    manager.recover("orders")
    manager.features.disable("cart")
    manager.features.enable("cart")
    off = [("gift", False, "needs"), ("checkout", False, "level"), ("cart", False, "level")]
    on = [("cart", True), ("checkout", True), ("gift", True)]
    assert events[:3] == off
    assert events[3:6] == [(*one, "level") for one in on]
    assert events[6:9] == [
        ("gift", False, "needs"),
        ("checkout", False, "needs"),
        ("cart", False, "disabled"),
    ]
    assert events[9:] == [(*one, "enabled") for one in on]


def test_a_listener_hears_of_the_level_before_the_features_that_it_switches(manager):
    manager.feature("hints", "search", up_to=NORMAL)
    heard = []
    manager.on_event(lambda event: heard.append((event.kind, manager.is_enabled("hints"))))
    manager.set("search", DEGRADED)
    assert heard == [("degradation", False), ("feature", False)]


@pytest.mark.parametrize(
    ("needs", "circle"),
    [
        ({"a": ["a"]}, "'a' -> 'a'"),
        ({"a": ["b"], "b": ["a"]}, "'b' -> 'a' -> 'b'"),
        ({"a": ["b"], "b": ["c", "d"], "d": ["a"]}, "'d' -> 'a' -> 'b' -> 'd'"),
    ],
)
def test_features_that_need_each_other_in_a_circle_are_refused(manager, needs, circle):
    *fine, last = needs
    for name in fine:
        manager.feature(name, needs=needs[name])
    before = manager.features.all()
    with pytest.raises(hf.ConfigError, match=f"needs: .* features that do not need it: {circle}"):
        manager.feature(last, needs=needs[last])
    assert manager.features.all() == before
    assert manager.is_enabled(last)
    feature = manager.feature(last, needs=["fine"])  # nothing is left of what was refused
    assert feature.needs == ("fine",)


def test_a_feature_is_declared_once(manager):
    hints = manager.feature("hints", "search", NORMAL, ["session"])
    assert manager.feature("hints", "search", NORMAL, ["session"]) is hints
    assert manager.feature("hints") is hints
    with pytest.raises(hf.ConfigError, match="name: got 'hints', allowed another name"):
        manager.feature("hints", "search", DEGRADED)
    seen = manager.snapshot().features[-1]
    assert (seen.name, seen.component, seen.up_to) == ("hints", "search", NORMAL)
    assert (seen.needs, seen.enabled, seen.disabled_by_hand) == (("session",), True, False)
    assert (hints.component.name, hints.up_to, hints.needs) == ("search", NORMAL, ("session",))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": ""}, "name: got ''"),
        ({"component": ""}, "component: got ''"),
        ({"component": 3}, "component: got 3"),
        ({"up_to": 5}, "up_to: got 5"),
        ({"needs": 5}, "needs: got 5"),
        ({"needs": ["a", 3]}, "needs: got 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(manager, given, problem):
    with pytest.raises(hf.ConfigError, match=problem):
        manager.feature(**{"name": "f", **given})
    assert not manager.features.all()
    assert not manager.components


def test_a_component_of_another_manager_is_refused(manager):
    other = DegradationManager("other").component("search")
    with pytest.raises(hf.ConfigError, match="allowed a component of this manager"):
        manager.feature("hints", other)


def test_flags_can_be_changed_by_methods_only(manager):
    hints = manager.feature("hints")
    with pytest.raises(AttributeError, match="enabled"):
        hints.enabled = False
    for wrong in ("yes", None, 1):
        with pytest.raises(hf.ConfigError, match="on: got"):
            manager.features.set("hints", wrong)
    with pytest.raises(hf.ConfigError, match="name: got 3"):
        manager.features.disable(3)
    assert hints.enabled


def test_a_feature_is_true_while_it_is_on(manager):
    search = manager.component("search")
    hints = manager.feature("hints", search, up_to=NORMAL)
    assert hints
    search.set(DEGRADED)
    assert not hints


def test_the_text_of_a_level_is_its_name():
    assert [f"{level}" for level in Level] == [level.word for level in Level]
    assert f"{SEVERELY:d} {SEVERELY}" == "2 severely_degraded"
