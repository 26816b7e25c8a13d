"""What asking is made of: nothing that runs a frame of Python. The cost table has the figures."""

from types import MemberDescriptorType, MethodDescriptorType

import pytest

from holdfast.degradation import Component, DegradationManager, Feature, Level


@pytest.mark.parametrize(
    "attribute", [Component.level, Feature.enabled, DegradationManager.overall]
)
def test_a_level_or_a_flag_is_a_slot(attribute):
    assert type(attribute) is MemberDescriptorType


def test_a_flag_is_asked_for_by_name_with_a_native_method():
    assert type(DegradationManager.is_enabled) is MethodDescriptorType
    assert DegradationManager.is_enabled.__objclass__ is DegradationManager  # or no call is fast
    manager = DegradationManager("m")
    assert manager.is_enabled("unknown") is True
    with pytest.raises(TypeError, match="unhashable"):
        manager.is_enabled(["hints"])


def test_what_is_read_is_what_is_in_force(clock):
    manager = DegradationManager("m", stable_time=10, clock=clock)
    component, feature = manager.component("c"), manager.feature("f", "c")
    component.set(Level.EMERGENCY)
    read = component.level, manager.overall, feature.enabled, manager.is_enabled("f")
    assert read == (Level.EMERGENCY, Level.EMERGENCY, False, False)
    component.recover("manual")
    clock.advance(10)
    read = component.level, manager.overall, feature.enabled, manager.is_enabled("f")
    assert read == (Level.NORMAL, Level.NORMAL, True, True)
