"""What is registered with a manager is logged, and what its policies do bears its name."""

import logging
import threading

import holdfast as hf
from holdfast.manager import presets
from tests.policies.calls import fine


def test_each_registration_is_logged_once(said, clock):  # LG-12
    rm = hf.ResilienceManager("dwcp", clock=clock)
    for failures in (3, 3, 4):  # equal settings register nothing
        rm.register_circuit_breaker("network", max_failures=failures)
    for name in "abcdef":
        rm.register_bulkhead(name, max_concurrent=2)
    for _ in range(2):
        rm.register_operation("send", circuit_breaker="network")
    rm.unregister("operation", "send")
    rm.unregister("circuit_breaker", "network")
    assert said() == [
        ("manager", "INFO", f"manager 'dwcp': {what}")
        for what in (
            "circuit breaker 'network' is registered",
            "circuit breaker 'network' is registered anew",
            *(f"bulkhead {name!r} is registered" for name in "abcdef"),
            "operation 'send' is registered",
            "operation 'send' is no longer registered",
            "circuit breaker 'network' is no longer registered",
        )
    ]


def test_its_start_and_its_end_are_logged(said, clock):
    rm = hf.ResilienceManager("dwcp", clock=clock)
    with rm:
        rm.start()
    rm.stop()
    assert said() == [
        ("manager", "INFO", "manager 'dwcp' is started"),
        ("manager", "INFO", "manager 'dwcp' is stopped"),
    ]


def test_a_breaker_of_a_manager_bears_the_name_of_its_manager(said, clock):
    rm = hf.ResilienceManager("dwcp", clock=clock)
    rm.register_circuit_breaker("network").trip()
    text = "circuit breaker 'dwcp/network' opened: by hand; retry in"
    assert said()[-1][2].startswith(text)
    end = hf.log_events()
    try:
        rm.register_timeout("send", 1)
        rm.execute("send", fine)
        rm.circuit_breaker("network").try_call(fine)
    finally:
        end()
    assert said()[-1][2].startswith("circuit breaker 'dwcp/network' rejected a call (open)")


def test_another_timeout_of_a_type_is_logged(said, clock):  # LG-11
    timeouts = hf.TimeoutManager("t", {"read": 1}, clock=clock)
    timeouts.update({"read": 2.5})
    [(area, level, text)] = said()
    assert (area, level) == ("timeout", "INFO")
    assert text.endswith("is 2.5 s")


class NeedsAnother(logging.Handler):
    """A handler that waits for another thread, as one does that ships records."""

    def __init__(self, work):
        super().__init__()
        self.work = work
        self.stuck = []
        self.count = 0

    def handle(self, record):
        self.emit(record)  # without a lock: the other thread logs too

    def emit(self, record):
        if threading.current_thread() is not threading.main_thread():
            return
        thread = threading.Thread(target=self.work, args=(self.count,), daemon=True)
        self.count += 1
        thread.start()
        thread.join(5)
        if thread.is_alive():
            self.stuck.append(record.getMessage())


def test_what_logs_holds_no_lock_that_a_handler_of_the_log_may_need():
    rm = hf.ResilienceManager("shipped")
    rm.register_bulkhead("ship", 5)

    def ship(n):
        rm.register_bulkhead(f"ship-{n}", 5)
        rm.execute(f"ship-{n}", int)
        rm.timeouts.execute("ship", int)
        len(rm.slo)
        hf.protect(f"ship-{n}").call(int)
        rm.snapshot()

    handler = NeedsAnother(ship)
    logger = logging.getLogger("holdfast")
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        presets.get("dwcp").but(monitoring=False, checks=None).apply(rm)
        assert rm.slo.all_healthy()
        rm.execute("send", int)
        rm.keyed("send", 1).call(int)
        rm.start()
        hf.protect("shipped").call(int)
        rm.unregister("operation", "message")
        rm.stop()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert handler.count > 50
    assert handler.stuck == []
