"""The registry knows who lives, keeps nobody alive, and tells policies of a fork."""

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from itertools import count
from time import process_time
from types import FrameType
from typing import Any

import pytest

import holdfast as hf
from holdfast import named
from holdfast.named import Entry
from holdfast.registry import Registry, kinds
from tests.apart import run_apart
from tests.bytecodes import trace_bytecodes
from tests.waiting.parties import Party

KINDS = {
    "bulkhead", "circuit_breaker", "fallback", "pipeline", "pool_bulkhead", "rate_limiter", "retry",
    "timeout",
}  # fmt: skip


class Policy:
    """All that the registry needs of one."""

    def __init__(self, kind: str = "breaker", name: str = "a") -> None:
        self.kind = kind
        self.name = name
        self.asked: list[str] = []

    def reset(self) -> None:
        self.asked.append("reset")

    def _after_fork(self) -> None:
        self.asked.append("fork")


class Clearable(Policy):
    reset = None  # type: ignore[assignment]

    def clear(self) -> None:
        self.asked.append("clear")


def test_a_policy_is_found_by_kind_and_name() -> None:
    registry, breaker, limiter = Registry(), Policy("breaker"), Policy("limiter")
    assert registry.add(breaker) is breaker
    registry.add(limiter)
    assert registry.get("breaker", "a") is breaker
    assert registry.get("limiter", "a") is limiter
    assert registry.get("breaker", "b") is None
    assert registry.all() == [breaker, limiter]
    assert registry.all(kind="limiter") == [limiter]
    assert repr(registry) == "<Registry of 2 living policies>"


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("breaker", "circuit_breaker"),
        ("CircuitBreaker", "circuit_breaker"),
        (hf.CircuitBreaker, "circuit_breaker"),
        ("limiter", "rate_limiter"),
        ("pool", "pool_bulkhead"),
        ("retries", "retry"),
        ("timeouts", "timeout"),
    ],
)
def test_a_kind_that_is_none_is_refused_with_the_one_that_was_meant(kind, meant, monkeypatch):
    monkeypatch.setattr(sys.modules["holdfast.registry"], "kinds", kinds & KINDS)
    monkeypatch.setattr(hf.registry, "_kinds", set())
    for ask in (lambda: hf.registry.get(kind, "a"), lambda: hf.registry.all(kind)):
        with pytest.raises(LookupError) as caught:
            ask()
        text = str(caught.value)
        assert text.startswith(f"kind: got {kind!r}, allowed one of bulkhead, circuit_breaker, ")
        assert text.endswith(f": did you mean {meant!r}?")


def test_a_kind_without_a_living_policy_is_no_mistake():
    class Ours(hf.Bulkhead):
        kind = "ours"

    assert hf.registry.get("fallback", "nobody has made one") is None
    assert hf.registry.get("ours", "a") is None
    assert hf.registry.all("ours") == []


def test_a_kind_whose_module_nobody_has_imported_is_no_mistake():
    text = """if True:
        import sys
        import holdfast as hf
        for kind in ("error_budget", "fault", "hedge", "latency_budget"):
            assert hf.registry.get(kind, "a") is None
            assert hf.registry.all(kind) == []
        assert not {"holdfast.chaos", "holdfast.policies.hedge"} & sys.modules.keys()
    """
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_of_several_with_one_name_the_newest_living_is_found() -> None:
    registry, old, new = Registry(), Policy(), Policy()
    registry.add(old)
    registry.add(new)
    assert registry.get("breaker", "a") is new
    assert registry.all() == [old, new]
    del new
    gc.collect()
    assert registry.get("breaker", "a") is old
    assert registry.all() == [old]


def test_all_is_in_the_order_of_registration_over_names() -> None:
    registry = Registry()
    policies = [Policy(name=name) for name in "abcab"]
    for policy in policies:
        registry.add(policy)
    assert registry.all() == policies


def test_being_registered_keeps_nobody_alive_and_leaves_no_trace() -> None:
    # trap 67
    registry = Registry()
    for number in range(10_000):
        registry.add(Policy(name=f"request-{number}"))
    gc.collect()
    assert registry.all() == []
    assert not registry._entries
    assert not registry._dead


def test_names_that_come_and_go_do_not_pile_up_even_if_nobody_ever_asks() -> None:
    # trap 67
    registry = Registry()
    for number in range(100):
        registry.add(Policy(name=f"request-{number}"))
        gc.collect(0)  # without the GIL there are no generations: it looks through everything
    assert len(registry._entries) < 10


def test_a_registry_can_be_dropped() -> None:
    registry = Registry()
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None


def test_only_shared_policies_are_handed_out_to_be_shared() -> None:
    registry, own, shared, other = Registry(), Policy(), Policy(), Policy(name="b")
    registry.add(own)
    assert registry.find_shared("breaker", "a") is None
    registry.add(shared, shared=True)
    registry.add(own)
    assert registry.find_shared("breaker", "a") is shared
    assert registry.add(other, shared=True) is other


def test_a_second_shared_one_is_not_registered_and_the_first_is_returned() -> None:
    registry, first, second = Registry(), Policy(), Policy()
    registry.add(first, shared=True)
    assert registry.add(second, shared=True) is first
    assert registry.all() == [first]
    del first
    gc.collect()
    assert registry.add(second, shared=True) is second


def test_looking_for_a_shared_policy_and_registering_it_is_one_step() -> None:
    held: list[bool] = []

    class Watched(Registry):
        def _share(self, entry: Entry) -> Policy | None:
            held.append(self._lock.is_owned())
            return super()._share(entry)

    Watched().add(Policy(), shared=True)
    assert held == [True]


def test_of_threads_that_make_the_same_shared_policy_all_get_one() -> None:
    registry, start = Registry(), threading.Barrier(4)
    rounds = 100
    got: list[list[Policy]] = [[] for _ in range(rounds)]

    def make() -> None:
        for number in range(rounds):
            start.wait()
            got[number].append(registry.add(Policy(name=str(number)), shared=True))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for party in [Party(make) for _ in range(4)]:
            party.result()
    finally:
        sys.setswitchinterval(interval)
    assert [len({id(policy) for policy in policies}) for policies in got] == [1] * rounds
    assert registry.all() == [policies[0] for policies in got]


def test_reset_all_resets_or_clears_everybody_although_some_raise() -> None:
    class Broken(Policy):
        def reset(self) -> None:
            raise RuntimeError("cannot")

    registry = Registry()
    policies = [Policy(), Broken(), Clearable()]
    for policy in policies:
        registry.add(policy)
    with pytest.raises(ExceptionGroup, match="resetting policies") as caught:
        registry.reset_all()
    assert [str(error) for error in caught.value.exceptions] == ["cannot"]
    assert [policy.asked for policy in policies] == [["reset"], [], ["clear"]]
    Registry().reset_all()


def test_threads_that_register_drop_and_ask_at_once_agree_in_the_end() -> None:
    registry, start = Registry(), threading.Barrier(4)
    kept: list[Policy] = []

    def churn(number: int) -> None:
        start.wait()
        for turn in range(300):
            policy = Policy(name=f"{number}-{turn % 7}")
            registry.add(policy)
            registry.all()
            assert registry.get("breaker", policy.name) is policy
            if turn % 50 == 0:
                kept.append(policy)

    for party in [Party(churn, number) for number in range(4)]:
        party.result()
    gc.collect()
    assert {id(policy) for policy in registry.all()} == {id(policy) for policy in kept}


def test_a_forked_child_has_a_free_lock() -> None:  # trap 58
    run_apart("""
        import os, threading
        from holdfast.registry import Registry, kinds

        class Policy:
            kind, name = "breaker", "a"

        registry, first, second = Registry(), Policy(), Policy()
        registry.add(first)
        held, release = threading.Event(), threading.Event()
        def hold():
            with registry._lock:
                held.set()
                release.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            registry.add(second)
            os._exit(registry.all() != [first, second])
        release.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """)


def test_a_watcher_is_told_of_each_new_policy_once_for_each_time_it_watches() -> None:
    registry, first, second = Registry(), Policy(), Policy()
    made: list[Policy] = []
    ends = [registry.watch(made.append) for _ in range(2)]
    registry.add(first)
    assert made == [first, first]
    ends[0]()
    ends[0]()
    registry.add(second)
    assert made == [first, first, second]
    ends[1]()
    registry.add(first)
    assert len(made) == 3


def test_a_watcher_that_ends_itself_holds_up_no_other() -> None:
    registry, policy = Registry(), Policy()
    made: list[Policy] = []
    end = registry.watch(lambda _: end())
    registry.watch(made.append)
    registry.add(policy)
    assert made == [policy]


def test_policies_of_one_name_cost_what_those_of_own_names_cost() -> None:
    """Each would cost a hundred times as much if it looked at all others of its name."""

    def seconds(names: list[str]) -> float:
        registry, began = Registry(), process_time()
        policies = [registry.add(Policy(name=name)) for name in names]
        while policies:
            assert registry.get("breaker", policies[-1].name) is policies[-1]
            policies.pop(len(policies) // 2)
        registry.add(Policy())
        return process_time() - began

    own = [str(number) for number in range(8_000)]
    assert seconds(["a"] * len(own)) < 8 * seconds(own)


FILES = (named.__file__, sys.modules[Registry.__module__].__file__)


def run_with(at: int, interrupt: Callable[[], None], step: Callable[[], object]) -> bool:
    """Run a step, with an interrupt before its bytecode of that number; return if there is one."""
    left, done = at, False

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left, done
        if frame.f_code.co_filename not in FILES or done:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left < 0:
                done = True
                interrupt()
        return trace

    before = sys.gettrace()
    trace_bytecodes(trace)
    try:
        step()
    finally:
        sys.settrace(before)
    return done


def finalised_at(moment: int, there: int, shared: bool) -> bool:
    """Add a policy while a finaliser drops one and adds two, from that moment on."""
    registry = Registry()
    kept = [registry.add(Policy(), shared=shared and at == 0) for at in range(there)][1:]
    late: list[Policy] = []

    def finalise() -> None:
        if kept:
            kept.pop()
        late.append(registry.add(Policy(), shared=shared))
        late.append(registry.add(Policy()))

    happened = run_with(
        moment, finalise, lambda: late.append(registry.add(Policy(), shared=shared))
    )
    living = {id(policy) for policy in kept + late}
    assert {id(policy) for policy in registry.all()} == living
    assert len(registry._entries) == len(living)
    assert id(registry.get("breaker", "a")) in living
    assert not shared or registry.find_shared("breaker", "a") in late
    kept.clear()
    late.clear()
    registry.all()
    assert not registry._entries
    assert not registry._entries.keys()
    return happened


def failed_at(moment: int, there: int, shared: bool) -> bool:
    """Add a policy while a signal handler raises at that moment."""
    registry = Registry()
    kept = [registry.add(Policy(), shared=shared and at == 0) for at in range(there)][1:]

    def fail() -> None:
        raise KeyboardInterrupt

    try:
        happened = run_with(moment, fail, lambda: registry.add(Policy(), shared=shared))
    except KeyboardInterrupt:
        happened = True
    assert registry.all() == kept
    assert registry._entries.newest(("breaker", "a")) is (kept[-1] if kept else None)
    assert registry.find_shared("breaker", "a") is None
    assert len(registry._entries) == len(kept)
    assert registry.add(Policy(), shared=True)
    return happened


@pytest.mark.parametrize("there", [0, 1, 2, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_what_a_finaliser_does_amid_any_step_is_not_lost(there: int, shared: bool) -> None:
    moments = next(at for at in count() if not finalised_at(at, there, shared))
    assert moments > 20


@pytest.mark.parametrize("there", [0, 1, 2, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_a_signal_handler_that_raises_amid_any_step_leaves_a_whole(
    there: int, shared: bool
) -> None:
    moments = next(at for at in count() if not failed_at(at, there, shared))
    assert moments > 20
