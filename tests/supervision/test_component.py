"""What a supervisor takes as a component, and how one says that it has ended."""

import signal

import pytest

import holdfast as hf
from holdfast.supervision import Component, ComponentState, Exit
from holdfast.supervision.component import as_component, has_check


class Cache(Component):
    def start(self):
        self.entries = {}

    def stop(self):
        self.entries = None


class Checked(Cache):
    def check(self):
        return self.entries is not None


class Plain:
    """Of somebody who knows nothing of holdfast."""

    name = "plain"

    def start(self):
        return "started"

    def stop(self):
        return "stopped"


@pytest.mark.parametrize(
    ("end", "words", "clean"),
    [
        (Exit(), "ended", True),
        (Exit(code=0), "exit code 0", True),
        (Exit(code=3), "exit code 3", False),
        (Exit(signal=signal.SIGKILL), "killed by SIGKILL", False),
        (Exit(signal=250), "killed by signal 250", False),
        (Exit(error=OSError("disk full")), "OSError: disk full", False),
        (Exit(error=KeyError()), "KeyError", False),
    ],
)
def test_an_exit_says_in_plain_words_how_the_work_ended(end, words, clean):  # MG-17
    assert str(end) == words
    assert end.is_clean is clean


def test_an_exit_of_something_else_is_refused_all_at_once():
    with pytest.raises(hf.ConfigError, match=r"code: got 'no'.*error: got 'no'"):
        Exit(code="no", error="no")


def test_an_exit_shows_no_secret_of_its_error():
    assert "hunter2" not in str(Exit(error=OSError("postgres://user:hunter2@db")))


def test_a_component_is_taken_as_it_is():  # MG-13
    cache = Cache("cache")
    assert as_component(cache) is cache


def test_any_object_with_a_name_a_start_and_a_stop_is_a_component():  # MG-13
    component = as_component(Plain())
    assert component.name == "plain"
    assert (component.start(), component.stop()) == ("started", "stopped")
    assert not has_check(component)


def test_only_a_check_of_its_own_is_one():
    assert not has_check(Cache("cache"))
    assert has_check(Checked("cache"))

    class WithCheck(Plain):
        def check(self):
            return True

    assert has_check(as_component(WithCheck()))


@pytest.mark.parametrize("value", [None, 3, "peer", Plain, object(), Cache])
def test_what_is_no_component_is_refused_with_what_is_allowed(value):
    with pytest.raises(hf.ConfigError, match=r"component: got .*allowed a Component, or an object"):
        as_component(value)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_a_name_that_no_message_can_show_is_refused(name):
    with pytest.raises(hf.ConfigError, match="name: got"):
        Cache(name)
    plain = Plain()
    plain.name = name
    with pytest.raises(hf.ConfigError, match=r"component\.name: got"):
        as_component(plain)


def test_only_what_nothing_follows_is_settled():
    settled = {state for state in ComponentState if state.is_settled}
    assert settled == {"stopped", "given_up", "finished"}
    assert [state for state in ComponentState if state.is_up] == ["running"]
