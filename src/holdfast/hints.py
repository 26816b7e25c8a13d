"""What other libraries call what holdfast has: for the messages about a name that does not exist.

Imported by such a message only. Elsewhere: arguments that do not exist (``arguments``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "argument_hint",
    "missing_attribute",
    "missing_name",
    "nearest",
    "signed",
    "value_hint",
]

# Names of tenacity, stamina, backoff, pybreaker, circuitbreaker, aiobreaker, limits, aiolimiter,
# pyrate-limiter, resilience4j, Polly, failsafe and anyio, without underscores and in lower case.
# What to use is an expression after "holdfast.", or a sentence.
_ELSEWHERE = {
    name: use
    for use, names in {
        # retries
        "Retry": "retrying retrypolicy retryconfig retrystrategy retrystrategyoptions retries "
        "asyncretrying retryingcaller asyncretryingcaller retryregistry onexception",
        "Retry(…).attempts()": "retrycontext attempt attempts",
        "Retry(…, on=…)": "retryif retryifexception retryifexceptiontype retryonexception",
        "Retry(…, ignore=…)": "retryifnotexceptiontype retryunlessexceptiontype giveup",
        "Retry(…, on_result=…)": "retryifresult retryifnotresult onpredicate tryagain",
        "Retry(…, attempts=…)": "stopafterattempt stopnever maxattempts maxtries maxretries",
        "Retry(…, max_time=…)": "stopafterdelay stopbeforedelay maxtime",
        "Retry(…, before_sleep=…)": "beforesleep beforesleeplog beforelog afterlog",
        "RetryExhaustedError": "retryerror maxretriesexceeded retriesexhausted maxretryerror",
        # back-offs
        "Exponential": "waitexponential waitexponentialjitter exponentialbackoff expo",
        'Exponential(…, jitter_mode="full")': "waitrandomexponential fulljitter waitrandom jitter",
        "Constant": "waitfixed constantbackoff fixedbackoff fixed fixeddelay waitnone interval",
        "Linear": "waitincrementing linearbackoff incremental",
        "Fibonacci": "fibo fibonaccibackoff",
        "Decorrelated": "decorrelatedjitter decorrelatedjitterbackoff",
        "chain": "waitchain",
        # circuit breakers
        "CircuitBreaker": "breaker circuit circuitbreakerpolicy circuitbreakerconfig "
        "circuitbreakerfactory circuitbreakerstrategyoptions advancedcircuitbreaker",
        "CircuitOpenError": "circuitbreakererror circuitbreakeropenerror circuitbreakeropen "
        "circuiterror brokencircuitexception brokencircuiterror callnotpermittedexception "
        "callnotpermittederror circuitopen circuitopenexception isolatedcircuitexception",
        "State": "circuitstate breakerstate circuitbreakerstate",
        "State.OPEN": "stateopen open",
        "State.CLOSED": "stateclosed closed",
        "State.HALF_OPEN": "statehalfopen halfopen",
        "CountWindow or holdfast.TimeWindow": "window slidingwindow countbasedwindow",
        "registry": "circuitbreakermonitor circuitbreakerregistry",
        # rates
        "RateLimiter": "limiter ratelimit tokenbucket leakybucket asynclimiter ratelimiterpolicy "
        "throttle throttler throttling gcra fixedwindowratelimiter ratelimits ratelimiterconfig",
        'RateLimiter(…, window="sliding")': "movingwindowratelimiter slidingwindowratelimiter "
        "slidingwindowcounterratelimiter slidingwindowcounter",
        'RateLimiter(…, limits="10/minute")': "ratelimititem ratelimititempersecond parse "
        "parsemany ratelimititemperminute duration rate limits",
        "RateLimitedError": "ratelimitexceeded ratelimitexception ratelimiterror "
        "requestnotpermitted ratelimiterrejectedexception bucketfullexception "
        "toomanyrequests ratelimitexceedederror",
        # places, time, the rest
        "Bulkhead": "semaphore boundedsemaphore capacitylimiter concurrencylimiter "
        "concurrencylimit bulkheadpolicy bulkheadconfig maxconcurrency semaphorebulkhead",
        "PoolBulkhead": "threadpool threadpoolbulkhead threadpoolexecutor pool",
        "BulkheadFullError": "bulkheadfullexception bulkheadrejectedexception bulkheaderror",
        "Timeout": "timeoutafter failafter moveonafter timelimiter timeoutpolicy withtimeout "
        "timeoutat timelimit",
        "DeadlineExceededError": "timeouterror timeoutexception timeoutrejectedexception "
        "timeoutexceeded timeoutexpired deadlineexceeded",
        "Rejected": "rejection rejectederror rejectedexception executionrejectedexception",
        "Fallback": "fallbackpolicy fallbackto",
        "Pipeline": "policywrap wrap compose resiliencepipeline decorators "
        "resiliencepipelinebuilder combine policygroup failsafe",
        "Pipeline.standard": "standard standardpipeline default addstandardresiliencehandler",
        "ManualClock": "fakeclock testclock mockclock virtualclock faketimeprovider",
        "Mode": "observe enforce off",
    }.items()
    for name in names.split()
}

# Public, and in a module that has to be imported.
_IN_MODULES = {
    "Collector": "holdfast.telemetry.prometheus",
    "isolated_registry": "holdfast.testing",
    "recorded": "holdfast.testing",
    "retries_off": "holdfast.testing",
    "Script": "holdfast.testing",
    "serve_metrics": "holdfast.telemetry.prometheus",
    "asgi_app": "holdfast.telemetry.prometheus",
    "wsgi_app": "holdfast.telemetry.prometheus",
    "use_clock": "holdfast.testing",
}

# What arguments of other libraries, in the same form, may be called here. A name may occur more
# than once: the first argument that the function has was meant.
_ARGUMENTS: dict[str, tuple[str, ...]] = {}
for _meant, _names in {
    # how often, and how long
    "attempts": "maxattempts maxretries maxtries retries tries stop total stopafterattempt "
    "maxretryattempts stopmaxattemptnumber retrycount retry times numretries",
    "max_time": "stopafterdelay maxelapsedtime stopmaxdelay",
    "max_time total_timeout duration reset_timeout max_wait": "timeout deadline",
    "total_timeout max_time": "totaltime overalltimeout",
    "attempt_timeout duration": "pertrytimeout calltimeout requesttimeout",
    "duration seconds": "seconds secs limit delay ttl timeoutseconds cancelafter timelimit",
    "backoff": "wait delay waittime waitfixed interval intervalfunction backofftype "
    "waitgen backoffstrategy waitexponential backoffs strategy waitduration retrydelay",
    "max_retry_after": "maxretryafter retryaftermax",
    "retry_after": "respectretryafterheader delaygenerator",
    "before_sleep": "onretry onbackoff beforeretry before after",
    "on_exhausted": "ongiveup retryerrorcallback onfailure afterallfailed",
    "wrap": "raiseongiveup retryerrorcls throwonexhausted",
    # which errors
    "on": "expectedexception exceptions exception retry retryon retryexceptions shouldhandle "
    "recordexceptions retryif errors catch handle retryonexceptions include handles whenerror "
    "expectedexceptions recordexception retryexception",
    "ignore": "exclude ignoreexceptions giveup excluded excludes ignored ignoreexception "
    "dontretryon unless ignoring nonretryable",
    "on_result": "retryonresult retryonresultpredicate retryifresult predicate resultpredicate "
    "statusforcelist retryresult recordresultpredicate",
    "is_failure": "recordexceptionpredicate failurepredicate isfailed",
    # rates and places
    "rate": "maxrate tokens refillrate fillrate limitforperiod requests ratelimit limit calls "
    "maxcalls maxrequests permitlimit tokenspersecond persecond qps rps limiter ratelimiter",
    "per": "timeperiod period limitrefreshperiod interval time windowseconds replenishment "
    "replenishmentperiod seconds perseconds",
    "burst": "ttl capacity bucketsize maxburst burstsize maxtokens bucketcapacity tokenlimit "
    "queuesize maxbucket",
    "limits": "rates ratelimits items limit",
    "max_concurrent": "maxcalls maxconcurrentcalls permits maxconcurrency limit size capacity "
    "concurrency slots totaltokens maxparallel maxparallelization permitlimit value "
    "concurrencylimit maxworkers maxinflight bulkhead workers",
    "max_waiting": "maxqueue queuesize queuelimit maxqueuingactions queuecapacity maxpending "
    "maxqueued queue",
    "max_wait": "maxwaitduration timeoutduration maxwaittime queuetimeout waittimeout "
    "acquiretimeout blocking",
    "workers": "maxworkers threads maxthreads maxthreadpoolsize corethreadpoolsize poolsize "
    "numthreads maxconcurrent size",
    # circuit breakers
    "failure_threshold": "failmax maxfailures failurecount threshold failures errorthreshold "
    "defaultthreshold handledeventsallowedbeforebreaking maxfails failurelimit",
    "failure_rate": "failureratethreshold failureratio failurepercentage errorrate "
    "errorthresholdpercentage failurepercent ratio",
    "reset_timeout": "recoverytimeout timeoutduration breakduration opentimeout resetafter "
    "waitdurationinopenstate durationofbreak defaultttl cooldown opentime ttl waittime delay "
    "recoverytime resettime openduration sleepwindow",
    "success_threshold": "successmax successes successcount",
    "half_open_max_calls": "permittednumberofcallsinhalfopenstate halfopenrequests trialcalls "
    "halfopencalls halfopenmax maxprobes probes halfopenmaxrequests",
    "probe_timeout": "maxwaitdurationinhalfopenstate halfopentimeout",
    "window": "slidingwindowsize samplingduration slidingwindow slidingwindowtype windowsize "
    "period windowtime buffersize rollingwindow",
    "min_calls": "minimumnumberofcalls minimumthroughput mincalls minimumcalls minrequests "
    "requestvolumethreshold volumethreshold",
    "slow_call_rate": "slowcallratethreshold slowrate",
    "slow_call_duration": "slowcalldurationthreshold slowduration slowthreshold slowcall",
    "fallback": "fallbackfunction defaultvalue",
    # back-offs
    "base": "initial start min initialdelay delay mindelay initialinterval wait "
    "waitinitial backofffactor minimum first",
    "delay": "wait seconds interval base value",
    "factor": "expbase multiplier exponent growth waitexpbase mult",
    "max": "maxdelay cap maximum maxvalue waitmax maxinterval maxwait limit backoffmax upper",
    "increment": "step",
    "jitter": "usejitter randomization waitjitter randomizationfactor randomize",
    "jitter_mode": "jittertype jitterstrategy mode",
    "ratio": "retryratio percent percentcanretry retrypercent budgetpercent fraction",
    "min_per_second": "minretriespersec minretriespersecond minretryconcurrency minimum rate",
    "n": "size calls count length maxcalls",
    # adaptive timeouts
    "duration": "initial",
    "floor": "min minimum lower mintimeout",
    "ceiling": "max maximum upper maxtimeout",
    "quantile": "percentile",
    # common
    "value": "fallback default fallbackfunction fallbackvalue handler func fallbackaction fn "
    "result returnvalue replacement function",
    "clock": "timer timefunc timesource timeprovider time now monotonic clockfn",
    "mode": "enabled dryrun shadow enforce observe",
    "shared": "singleton reuse cache",
    "name": "service key id identifier label target circuitname policyname",
    "thread": "threaded usethreads usesignals blocking cancellable",
    "namespace": "prefix",
    "start": "now initial time seconds",
    "auto": "autoadvance tick autotick",
    "latency": "timed recordlatency measure",
}.items():
    for _name in _names.split():
        _ARGUMENTS[_name] = (*_ARGUMENTS.get(_name, ()), *_meant.split())


def _each(names: str, where: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), where)


_BACKOFF = "a back-off has it, as in backoff=Exponential(0.1, factor=2, max=10, jitter=0.1)"
# What is no argument here, and where it is.
_NO_ARGUMENT = {
    "Retry": {
        **_each(
            "jitter factor multiplier maxdelay initialdelay waitinitial waitmax waitjitter "
            "maxwait waitexpbase backofffactor expbase base max mindelay initial",
            _BACKOFF,
        ),
        "reraise": "it always raises the last exception, unless wrap=True",
        "sleep": "a clock sleeps, as in clock=ManualClock()",
        "fallback": "put a Fallback in front of it in a Pipeline",
        "logger": "use before_sleep=, or on_event() of the policy",
        "ratelimit": "put a RateLimiter behind it in a Pipeline",
        "attempttimeout": "put a Timeout behind it in a Pipeline",
    },
    "CircuitBreaker": {
        "listeners": "add a listener with on_event()",
        "listener": "add a listener with on_event()",
        "statestorage": "each process has its own breaker",
        "fallback": "put a Fallback in front of it in a Pipeline",
        "fallbackfunction": "put a Fallback in front of it in a Pipeline",
        "attempts": "put a Retry in front of it in a Pipeline",
        "retries": "put a Retry in front of it in a Pipeline",
        "calltimeout": "put a Timeout behind it in a Pipeline",
        "thrownewerrorontrip": "the call that opens it raises its own exception",
    },
    "Pipeline": {
        "policies": "give the policies by position, as in Pipeline(name, *policies)",
        **_each(
            "retry breaker circuitbreaker timeout bulkhead limiter ratelimiter fallback",
            "give the policies by position, the outermost first",
        ),
        **_each(
            "attempts totaltimeout attempttimeout maxconcurrent rate",
            "it is an argument of Pipeline.standard()",
        ),
    },
    "Decorrelated": _each("jitter jittermode", "its delays are random already"),
    "Pipeline.standard": {
        "retry": "use attempts=, backoff=, on=, or with_options(retry=Retry(…)) of the pipeline",
        "bulkhead": "use max_concurrent=, or with_options(bulkhead=Bulkhead(…)) of the pipeline",
        **_each("maxwaiting maxwait", "use with_options(bulkhead=Bulkhead(…)) of the pipeline"),
        **_each("limits limit ratelimit limiter", 'use rate=, as in rate="100/minute"'),
        **_each(
            "failurethreshold failurerate window mincalls slowcallduration slowcallrate "
            "resettimeout resetbackoff halfopenmaxcalls successthreshold probetimeout failurereset "
            "isfailure latency recoverytimeout failmax maxfailures circuitbreaker",
            'use breaker=, as in breaker={"reset_timeout": 30}',
        ),
        **_each(
            "maxtime retryafter maxretryafter beforesleep onexhausted wrap",
            "use with_options() of the pipeline",
        ),
        "listeners": "add a listener with on_event()",
    },
}


def argument_hint(
    kind: str, name: str, value: object, names: tuple[str, ...]
) -> tuple[str, str | None]:
    """Say what to use instead of an argument that does not exist.

    Args:
        kind: The class or function that was called.
        name: The name that it does not have.
        value: What was given under this name.
        names: The names that it has.

    Returns:
        The end of a message, and the argument that was probably meant, if it is one.
    """
    plain = _plain(name)
    meant = next((one for one in names if _plain(one) == plain), None)
    if meant is None and (where := _NO_ARGUMENT.get(kind, {}).get(plain)) is not None:
        return f": {where}", None
    if meant is None:
        meant = next((one for one in _ARGUMENTS.get(plain, ()) if one in names), None)
    if meant is None:
        meant = nearest(name, names)
    if meant == "rate" and isinstance(value, str) and "limits" in names:
        meant = "limits"
    return f": did you mean {meant!r}?" if meant else "", meant


_STATE = "use state, as in breaker.state is State.OPEN"
_LISTEN = "use on_event(listener)"
_POLICIES = "use policies, the tuple of its policies, or registry.get(kind, name)"
_DECORATE = "write @policy above the function, or use call(function, …)"
# Attributes of other libraries, by the kind of policy; those of all policies last.
# ``policies.base`` has the list of their names.
ATTRIBUTES: dict[str, dict[str, str]] = {
    "circuit_breaker": {
        "open": "use trip()",
        **_each("close closed_circuit", "use reset()"),
        **_each("current_state is_open is_closed is_half_open opened closed circuit_state", _STATE),
        **_each(
            "fail_counter failure_count fail_count failures success_counter",
            "use snapshot().consecutive_failures",
        ),
        **_each("last_exception last_error", "use snapshot()"),
        **_each("open_remaining time_remaining", "use retry_after"),
        "calling": "write `with breaker:`",
        "isolate": "use force_open()",
        **_each("fail_max failure_threshold reset_timeout recovery_timeout", "use describe()"),
    },
    "rate_limiter": {
        **_each("hit consume try_consume allow is_allowed check can_acquire", "use try_acquire()"),
        **_each("wait take", "use acquire()"),
        **_each("has_capacity can_consume", "use test()"),
        **_each("get_window_stats remaining tokens available_tokens", "use stats() or available"),
        **_each("async_acquire acquire_async", "use aacquire()"),
        **_each("max_rate rate limit capacity", "use snapshot() or describe()"),
        "release": "tokens come back with time; there is no release",
    },
    "bulkhead": {
        "acquire": "use enter(), or `with bulkhead:`",
        "try_acquire": "use try_enter()",
        "release": "use leave()",
        **_each("aacquire async_acquire acquire_async", "use aenter()"),
        **_each("locked active size capacity", "use snapshot() or in_flight"),
        "max_concurrent": "use describe()",
    },
    "pool_bulkhead": {
        **_each("shutdown close join terminate", "use stop()"),
        **_each("map apply apply_async execute run", "use submit(function, …)"),
    },
    "retry": {
        **_each("retry_with copy", "use with_options()"),
        **_each("begin iter", "use attempts(), as in `for attempt in retry.attempts():`"),
    },
    "timeout": {
        **_each("seconds delay timeout", "use duration"),
        "reschedule": "use resize()",
    },
    "pipeline": {
        **_each("breaker circuit_breaker retry timeout bulkhead limiter rate_limiter", _POLICIES),
        **_each("fallback state breakers", _POLICIES),
        **_each("add append insert remove", "it cannot change; use with_options()"),
    },
    "": {
        **_each("execute run invoke", "use call(function, …)"),
        **_each("execute_async aexecute arun call_async acall_async", "use acall(function, …)"),
        **_each("decorate wrap wraps protect guard decorator", _DECORATE),
        **_each("statistics stats metrics counters get_stats", "use snapshot()"),
        **_each("settings config", "use describe()"),
        **_each("add_listener add_listeners subscribe on_state_change listeners", _LISTEN),
        **_each("on_open on_close on_retry on_success on_failure", _LISTEN),
        "remove_listener": "call the function that on_event() returned",
        "with_options": "only a pipeline or a retry has options; create another policy",
    },
}

# What a callable is called with.
_CALLED_WITH = {
    "on": "the exception",
    "ignore": "the exception",
    "on_result": "the result",
    "is_failure": "each result, and each exception that on= names",
    "retry_after": "the exception or the result",
    "before_sleep": "a RetryState",
    "on_exhausted": "a RetryState",
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
    try:
        for hint in _HINTS:
            if text := hint(field, value, allowed):
                return f": {text}"
    except Exception:  # noqa: BLE001 - the caller's object; the message is complete without
        return ""
    return ""


def _of_callable(field: str, value: object, allowed: str) -> str:
    if allowed.startswith("a callable, not an exception class"):
        return "exception classes belong in on= or ignore="
    if allowed.startswith("a callable that takes one") and callable(value):
        return f"it is called with {_CALLED_WITH[field]}" if field in _CALLED_WITH else ""
    if field in {"on", "ignore"} and value == "http":
        return 'write on_result="http"'
    if allowed.startswith("subclasses of Exception") and "did you mean" not in allowed:
        if isinstance(value, BaseException):
            return f"write {type(value).__name__}, its class"
        if isinstance(value, str) and value.isidentifier() and value[0].isupper():
            return f"write the class {value}, without quotes"
    if field == "on_result" and '"http"' in allowed:
        return 'write "http" for status 408, 429 and 5xx, or a function of the result'
    if field == "retry_after" and _is_number(value):
        return f"write backoff={value} for pauses of this length"
    return ""


def _of_name(field: str, value: object, allowed: str) -> str:
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
        return _of_number_as_text(value)
    if field == "rate" and isinstance(value, (tuple, list)) and len(value) == 2:
        return f"write rate={value[0]}, per={value[1]}"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return _as_float(value)
    from re import search

    if search(r"to (1|0\.999)\b(?!\d)", allowed):
        return f"write {value / 100:g} for {value} %" if _LEAST_PERCENT <= value <= 100 else ""
    if allowed.startswith("an integer") and isinstance(value, float) and value == int(value):
        return f"write {int(value)}"
    if field == "failure_threshold" and 0 < value < 1:
        return f"write failure_rate={value} for a share of the calls"
    if field == "min_calls" and value > 1 and (most := search(r"to (\d+)", allowed)):
        return f"the window has room for {most[1]} calls"
    return ""


def _of_number_as_text(text: str) -> str:
    if text.endswith("%"):
        percent = _number_in(text[:-1])
        return "" if percent is None else f"write {percent / 100:g}"
    number = _number_in(text)
    return "" if number is None else f"write {number:g}, without quotes"


def _of_choice(_field: str, value: object, allowed: str) -> str:
    if not allowed.startswith("one of ") or not isinstance(value, str):
        return ""
    words = [word.strip("' ") for word in allowed.removeprefix("one of ").split(",")]
    close = nearest(value, words)
    return f"did you mean {close!r}?" if close else ""


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
    if field == "window" and _is_number(value):
        return f'write per={value}, window="sliding"'
    if field == "budget" and _is_number(value):
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


# What a number is probably meant for, where an object is allowed.
_MADE_OF = {
    "retry": "attempts={}",
    "bulkhead": "Bulkhead(name, max_concurrent={})",
    "limiter": "RateLimiter(name, rate={})",
    "rate_limiter": "RateLimiter(name, rate={})",
    "breaker": "a dict of settings, as in {{'failure_threshold': {}}}",
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


def _of_rates(field: str, value: object, _allowed: str) -> str:
    if field == "limits" and isinstance(value, str):
        return next((f"write {days}" for unit, days in _LONG.items() if unit in value.lower()), "")
    if field == "limits" and isinstance(value, (list, tuple)):
        return f"write {';'.join(map(str, value))!r}"
    return f"write rate={value}" if field == "limits" and _is_number(value) else ""


_HINTS = (_of_callable, _of_name, _of_duration, _of_number, _of_choice, _of_object, _of_rates)
_NAMED_LAST = {"AdaptiveTimeout", "Fallback", "Timeout"}  # with the name as a keyword argument
_MAX_SIGNED = 80
_LEAST_PART = 4  # letters, of a name that is part of another
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


def missing_name(name: str, public: Iterable[str]) -> AttributeError:
    """Return the error for a name that the package does not have, with the one to use instead."""
    text = f"module 'holdfast' has no attribute {name!r}"
    use = _instead_of(name, tuple(public))
    if use is None:
        return AttributeError(text)
    # With a name of its own, or the interpreter would add a second suggestion.
    return AttributeError(f"{text}: {use}", name=name)


def missing_attribute(policy: object, cls: type, name: str) -> AttributeError:
    """Return the error for an attribute that a policy does not have, with what to use instead."""
    kind = getattr(cls, "kind", "")
    use = ATTRIBUTES.get(kind, {}).get(name) or ATTRIBUTES[""].get(name)
    text = (
        f"type object {cls.__name__!r} has no attribute {name!r}"
        if policy is None
        else f"{cls.__name__!r} object has no attribute {name!r}"
    )
    if use is None:
        return AttributeError(text, name=name, obj=cls if policy is None else policy)
    return AttributeError(f"{text}: {use}", name=name)


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return which of the names was probably meant; None if none is similar."""
    from difflib import get_close_matches

    known = tuple(names)
    plain = {_plain(one): one for one in known}
    if (same := plain.get(_plain(name))) is not None:
        return same
    if close := get_close_matches(name, known, 1, cutoff):
        return close[0]
    parts = [one for one in known if len(name) >= _LEAST_PART and name in one]
    return parts[0] if len(parts) == 1 else None


def _instead_of(name: str, public: tuple[str, ...]) -> str | None:
    plain = _plain(name)
    for one in public:
        if _plain(one) == plain:
            return f"use holdfast.{one}"
    if (module := _IN_MODULES.get(name)) is not None:
        return f"use `from {module} import {name}`"
    if (use := _ELSEWHERE.get(plain)) is not None:
        return f"use holdfast.{use}"
    if _is_module(name):
        return f"it is a module, use `import holdfast.{name}`"
    close = nearest(name, public, 0.7)
    return None if close is None else f"did you mean {close!r}?"


def _plain(name: str) -> str:
    """Return a name as it is compared: circuit_breaker and CircuitBreaker are the same."""
    return name.replace("_", "").lower()


def _is_module(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return name.isidentifier() and find_spec(f"holdfast.{name}") is not None
    except (ImportError, ValueError):
        return False
