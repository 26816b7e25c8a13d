"""What to write instead of a value that is refused: the end of the message about it.

Imported by such a message only. Each function of ``_HINTS`` knows one kind of value. Elsewhere:
what is allowed (``validation``), names that do not exist (``hints``).
"""

from __future__ import annotations

from holdfast.hints import nearest

__all__ = ["signed", "value_hint"]

# What a callable is called with.
_CALLED_WITH = {
    "on": "the exception",
    "ignore": "the exception",
    "on_result": "the result",
    "close": "the result of an attempt that lost",
    "is_failure": "each result, and each exception that on= names",
    "retry_after": "the exception or the result",
    "before_sleep": "a RetryState",
    "on_exhausted": "a RetryState",
    "on_exhausted of a budget": "the event",
    "on_recovered": "the event",
    "on_throttle": "each result, and each exception",
    "value": "the exception",
    "fallback": "the exception",
    "listener": "the event",
}
_LONG = {"week": "7 days", "month": "30 days", "year": "365 days"}  # are no units of a rate
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def signed(value: object) -> str | None:
    """Return a function as a message shows it, with its arguments; None for other values."""
    if not callable(value):
        return None
    from inspect import signature

    try:
        name = getattr(value, "__qualname__", None)
        if isinstance(value, type) or not isinstance(name, str):
            return None
        text = f"{name.rpartition('<locals>.')[2]}{signature(value)}"
    except Exception:  # noqa: BLE001 - the caller's object; the message is about something else
        return None
    return text if text.isprintable() and len(text) <= _MAX_SIGNED else None


def value_hint(kind: str, field: str, value: object, allowed: str) -> str:
    """Return what to write instead of a value that is refused: the end of a message.

    Args:
        kind: The class or function whose argument it is.
        field: The argument.
        value: The value.
        allowed: The text of what is allowed.
    """
    if field == "name" and kind in _NAMED_LAST and _is_number(value):
        return ""
    if field == "name" and kind.endswith(_NO_DECORATORS) and not isinstance(value, str):
        return ": the name comes first"
    field = _AMONG_KINDS.get((kind, field), field)
    try:
        for hint in _HINTS:
            if text := hint(field, value, allowed):
                return f": {text}"
    except Exception:  # noqa: BLE001 - the caller's object; the message is complete without
        return ""
    return ""


def _of_callable(field: str, value: object, allowed: str) -> str:
    if allowed.startswith("a callable, not an exception class"):
        if field == "on_throttle":
            return f"write lambda answer: isinstance(answer, {getattr(value, '__name__', '…')})"
        return "exception classes belong in on= or ignore="
    if allowed.startswith("a callable that takes one") and callable(value):
        return f"it is called with {_CALLED_WITH[field]}" if field in _CALLED_WITH else ""
    if field in {"on", "ignore"} and value == "http":
        return 'write on_result="http"'
    if allowed.startswith("subclasses of Exception") and "did you mean" not in allowed:
        if isinstance(value, BaseException):
            return f"write {type(value).__name__}, its class"
        if isinstance(value, str) and value.isidentifier() and value[0].isupper():
            return _of_class(value)
    if field == "on_result" and '"http"' in allowed:
        return 'write "http" for status 408, 429 and 5xx, or a function of the result'
    if field == "retry_after" and _is_number(value):
        return f"write backoff={value} for pauses of this length"
    return ""


def _of_class(name: str) -> str:
    """Return what to write for the name of an exception class, which may be misspelt."""
    import builtins

    if not isinstance(getattr(builtins, name, None), type):
        from difflib import get_close_matches

        found = vars(builtins).items()
        there = [one for one, cls in found if isinstance(cls, type) and issubclass(cls, Exception)]
        if close := get_close_matches(name, there, 1, 0.8):
            return f"did you mean the class {close[0]}, without quotes?"
    return f"write the class {name}, without quotes"


def _of_name(field: str, value: object, allowed: str) -> str:
    if field == "errors" and allowed.startswith("a string"):
        return "several errors are one argument, as in errors=(OSError, KeyError)"
    if field == "errors" and isinstance(value, str) and value.isidentifier() and value[0].isupper():
        return _of_class(value)
    if field in _FIRST_OF_FAULTS and isinstance(value, str) and not any(map(str.isdigit, value)):
        return f"write name={value!r}; a fault needs no name"
    if field != "name" or not allowed.startswith("a string"):
        return ""
    if _is_a("Policy", value):
        return "the name comes first, then the policies"
    if isinstance(value, (list, tuple)):
        return "the name comes first, then the policies, as in Pipeline(name, *policies)"
    if isinstance(value, type) and issubclass(value, BaseException):
        return "the name comes first; exceptions follow as on="
    if callable(value):
        return 'create the policy first, as in policy = Retry("name"), then write @policy'
    return "the name comes first, the settings follow by name" if _is_number(value) else ""


def _of_duration(field: str, value: object, allowed: str) -> str:
    if not allowed.startswith("seconds"):
        return ""
    if isinstance(value, str):
        seconds = _seconds_in(f"1 {value}" if field == "per" and value.isalpha() else value)
        return "" if seconds is None else f"write {seconds:g}"
    if field in {"total_timeout", "attempt_timeout"} and _is_a("Timeout", value):
        return f"write standard(…).with_options({field}=Timeout(…))"
    if field == "duration" and value == float("inf"):
        return "a call without a limit needs no Timeout"
    if any(cls.__module__ == "datetime" for cls in type(value).__mro__):
        return "a duration, not a moment" if not _is_a("timedelta", value) else ""
    return _as_float(value)


def _of_number(field: str, value: object, allowed: str) -> str:
    if not allowed.startswith(("a number", "an integer")):
        return ""
    if field == "jitter" and isinstance(value, str):
        return f"write jitter_mode={value!r}" if value in ("add", "around", "full", "equal") else ""
    if isinstance(value, str):
        in_percent = allowed.partition(",")[0].endswith(" to 100")
        return _of_number_as_text(value, 1 if in_percent else 100)
    if field == "rate" and isinstance(value, (tuple, list)) and len(value) == 2:
        return f"write rate={value[0]}, per={value[1]}"
    if field == "rate a second" and isinstance(value, (tuple, list)):
        return f"write {value[0] / value[1]:g}, the rate per second"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return _as_float(value)
    from re import search

    if field == "slo" and value == 0:
        return "an objective of 0 allows every request to fail; write 0.999 for 99.9 %"
    if search(r"to (1|0\.999)\b(?!\d)", allowed):
        return f"write {value / 100:g} for {value} %" if _LEAST_PERCENT <= value <= 100 else ""
    if allowed.startswith("an integer") and isinstance(value, float) and value == int(value):
        return f"write {int(value)}"
    if field == "failure_threshold" and 0 < value < 1:
        return f"write failure_rate={value} for a share of the calls"
    if field == "min_calls" and value > 1 and (most := search(r"to (\d+)", allowed)):
        return f"the window has room for {most[1]} calls"
    return ""


def _of_number_as_text(text: str, percent_in_one: int) -> str:
    if text.endswith("%"):
        percent = _number_in(text[:-1])
        return "" if percent is None else f"write {percent / percent_in_one:g}"
    if (rate := text.removesuffix("/s").removesuffix("/second")) != text:
        return "" if _number_in(rate) is None else f"write {rate}"
    number = _number_in(text)
    return "" if number is None else f"write {number:g}, without quotes"


def _of_choice(_field: str, value: object, allowed: str) -> str:
    if not allowed.startswith("one of ") or not isinstance(value, str):
        return ""
    listed = allowed.removeprefix("one of ").partition("; ")[0]  # a sentence may follow
    words = [word.strip("' ") for word in listed.split(",")]
    close = nearest(value, words) or _SAME_AS.get((value.lower(), words[-1]))
    return f"did you mean {close!r}?" if close else ""


# Words of priorities elsewhere.
_SAME_AS = {
    **{(word, "sheddable"): "sheddable" for word in ("low", "lowest", "background", "batch")},
    **{(word, "sheddable"): "normal" for word in ("medium", "default", "standard")},
    **{(word, "sheddable"): "critical" for word in ("highest", "urgent")},
}


def _of_check(_field: str, value: object, allowed: str) -> str:
    if not allowed.startswith("a check"):
        return ""
    if isinstance(value, (list, tuple)):
        return "unpack it, as in *checks"
    if isinstance(value, str):
        return f"write PingCheck({value!r}, function)"
    is_function = callable(value) and not isinstance(value, type)
    return "write PingCheck(name, function)" if is_function else ""


def _of_object(field: str, value: object, allowed: str) -> str:
    """Of an object that has to be made first, and of one that is another."""
    if isinstance(value, type):
        ours = value.__module__.partition(".")[0] == "holdfast"
        rest = "" if "not its class" in allowed else ", not the class"
        return f"write {value.__name__}(…){rest}" if ours else ""
    if field == "window" and allowed.startswith("CountWindow"):
        if isinstance(value, int) and not isinstance(value, bool):
            return f"write CountWindow({value}) for calls, TimeWindow({value}) for seconds"
        return f"write TimeWindow({value!r})" if isinstance(value, float) else ""
    if field == "window" and allowed.startswith("one of ") and _is_number(value):
        return f'write per={value}, window="sliding"'
    if field == "budget" and _is_number(value) and "ErrorBudget" not in allowed:
        return f"write RetryBudget(ratio={value})"
    if field.startswith("backoffs[") and isinstance(value, (list, tuple)):
        return "unpack it, as in chain(*backoffs)"
    if allowed.startswith("a Backoff"):
        return _of_backoff(value)
    if _is_number(value) and field in _MADE_OF:
        return f"write {_MADE_OF[field].format(value)}"
    if field.startswith("sources["):
        if isinstance(value, (list, tuple)):
            return "unpack it, as in Collector(*policies)"
        return "give the policy a name=" if _is_a("Policy", value) else ""
    if field.startswith("policies[") and _is_a("PoolBulkhead", value):
        return "write pool.submit(pipe.call, function, …)"
    if field == "hedge" and _is_a("Quantile", value):
        return f"write {{'delay': {value!r}}}"
    if field == "budget" and allowed.startswith("an ErrorBudget"):
        return "unpack it, as in SloTracker(*budgets)" if isinstance(value, (list, tuple)) else ""
    if field == "budget" and isinstance(value, dict):
        return f"write RetryBudget({', '.join(f'{key}={one!r}' for key, one in value.items())})"
    if field == "reset_backoff":
        return "for example (2.0, 300, 0.1)"
    if field == "registry" and _is_a("Registry", value):
        return "write None, its default, for all policies of holdfast.registry"
    if field == "clock" and callable(value):
        return "a clock object, not a function"
    if field.startswith("policies[") and isinstance(value, (list, tuple)):
        return "" if "unpack" in allowed else "unpack it, as in *policies"
    if field.startswith("policies[") and callable(value) and not _is_a("Policy", value):
        return "the pipeline guards the function, as in pipe.call(function)"
    return ""


# The first settings of faults, where the name stands in other policies.
_FIRST_OF_FAULTS = {"min", "after", "errors", "processors", "lasts"}
# What a number is probably meant for, where an object is allowed.
_MADE_OF = {
    "retry": "attempts={}",
    "bulkhead": "Bulkhead(name, max_concurrent={})",
    "limiter": "RateLimiter(name, rate={})",
    "rate_limiter": "RateLimiter(name, rate={})",
    "breaker": "a dict of settings, as in {{'failure_threshold': {}}}",
    "hedge": "a dict of settings, as in {{'delay': {}}}",
    "error_budget": "a dict of settings, as in {{'slo': {}}}",
    "latency_budget": "a dict of settings, as in {{'target': {}}}",
}
_BACKOFFS = {
    "exponential": "Exponential(0.1)",
    "linear": "Linear(1, 1)",
    "fibonacci": "Fibonacci(1)",
    "constant": "Constant(1)",
    "fixed": "Constant(1)",
    "jitter": 'Exponential(0.1, jitter_mode="full")',
    "decorrelated": "Decorrelated(0.1)",
}


def _of_backoff(value: object) -> str:
    if isinstance(value, str):
        number = _number_in(value)
        if number is not None:
            return f"write {number:g}, without quotes"
        close = nearest(value, _BACKOFFS)
        return f"write {_BACKOFFS[close]}" if close else ""
    if isinstance(value, (list, tuple)):
        return f"write chain({', '.join(map(str, value))})"
    return "derive a class from Backoff" if callable(value) else ""


def _of_rates(field: str, value: object, allowed: str) -> str:
    if "{" in allowed:  # other limits, each with a name
        return ""
    if field == "limits" and isinstance(value, str):
        return next((f"write {days}" for unit, days in _LONG.items() if unit in value.lower()), "")
    if field == "limits" and isinstance(value, (list, tuple)):
        return f"write {';'.join(map(str, value))!r}"
    return f"write rate={value}" if field == "limits" and _is_number(value) else ""


_HINTS = (
    _of_callable,
    _of_name,
    _of_duration,
    _of_number,
    _of_choice,
    _of_check,
    _of_object,
    _of_rates,
)
# A field of which a hint says something else than of other fields of its name.
_AMONG_KINDS = {
    ("AdaptiveRateLimiter", "rate"): "rate a second",
    ("Error", "name"): "errors",
    ("ErrorBudget", "on_exhausted"): "on_exhausted of a budget",
}
_NAMED_LAST = {"AdaptiveTimeout", "Fallback", "Timeout"}  # with the name as a keyword argument
_NO_DECORATORS = ("Check", "Monitor", "Manager", "Outlook")  # what they take is no function
_MAX_SIGNED = 80
_LEAST_PERCENT = 5  # a smaller number is hardly meant as a percentage


def _is_a(name: str, value: object) -> bool:
    return any(cls.__name__ == name for cls in type(value).__mro__)


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, bool)


def _as_float(value: object) -> str:
    """Of a number of a kind that holdfast does not take, such as a Decimal."""
    return "write float(…)" if _is_number(value) and not isinstance(value, (int, float)) else ""


def _number_in(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seconds_in(text: str) -> float | None:
    """Return the seconds of a duration as text: "250ms", "5 s", "2min", "1.5"."""
    from re import fullmatch

    found = fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if found is None:
        return None
    unit = "ms" if found[2].startswith(("ms", "milli")) else found[2][:1] or "s"
    return float(found[1]) * _UNITS[unit] if unit in _UNITS else None
