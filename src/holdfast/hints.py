"""What other libraries call what holdfast has: for the messages about a name that does not exist.

Imported by such a message only. Elsewhere: what is wrong with a call (``arguments``), and values
(``instead``).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BY_POSITION",
    "argument_hint",
    "missing_attribute",
    "missing_name",
    "nearest",
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
        "AdaptiveRateLimiter": "adaptivelimiter adaptivethrottle adaptivethrottler aimdlimiter "
        "gradientlimiter vegaslimiter",
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
        "Hedge": "hedging hedgepolicy hedgingpolicy hedgedrequest hedgedrequests hedgingoptions "
        "addhedging speculativeexecution backuprequest hedgefirst",
        "ErrorBudget": "slo budget errorbudgetpolicy burnrate burnratealert",
        "LatencyBudget": "latencyslo latencytarget",
        "chaos": "simmy faultinjection chaosmonkey chaospolicy",
        "chaos.Latency": "addchaoslatency chaoslatency latency latencyfault",
        "chaos.Error": "addchaosfault chaosfault errorfault",
        "chaos.Partition": "partition networkpartition",
        "Fallback": "fallbackpolicy fallbackto",
        "Pipeline": "policywrap wrap compose resiliencepipeline decorators "
        "resiliencepipelinebuilder combine policygroup failsafe",
        "Pipeline.standard": "standard standardpipeline default addstandardresiliencehandler",
        "ManualClock": "fakeclock testclock mockclock virtualclock faketimeprovider",
        "Mode": "observe enforce off",
        "Outcome": "result try either success failure",
        "log_events": "log logger logging getlogger",
        'Retry(…, on="transient")': "transient istransient retryable isretryable transienterror",
    }.items()
    for name in names.split()
}

# Public, and in a module that has to be imported.
_IN_MODULES = {
    "Collector": "holdfast.telemetry.prometheus",
    "Category": "holdfast.categories",
    "classify": "holdfast.categories",
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
    "total_timeout": "total",
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
    "expectedexceptions recordexception retryexception tripon when",
    "ignore": "exclude ignoreexceptions giveup excluded excludes ignored ignoreexception "
    "dontretryon unless ignoring nonretryable",
    "on_result": "retryonresult retryonresultpredicate retryifresult predicate resultpredicate "
    "statusforcelist retryresult recordresultpredicate",
    "is_failure": "recordexceptionpredicate failurepredicate isfailed",
    # rates and places
    "rate": "initialrate initiallimit maxrate tokens refillrate fillrate limitforperiod requests "
    "ratelimit limit calls maxcalls maxrequests permitlimit tokenspersecond persecond qps rps "
    "limiter ratelimiter",
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
    "acquiretimeout blocking block",
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
    "window": "slidingwindowsize windowseconds windowduration sloperiod samplingduration "
    "slidingwindow slidingwindowtype windowsize period windowtime buffersize rollingwindow",
    "min_calls": "minimumnumberofcalls minimumthroughput mincalls minimumcalls minrequests "
    "requestvolumethreshold volumethreshold",
    "slow_call_rate": "slowcallratethreshold slowrate",
    "slow_call_duration": "slowcalldurationthreshold slowduration slowthreshold slowcall",
    "fallback": "fallbackfunction defaultvalue",
    # back-offs
    "base": "initial start min initialdelay delay mindelay initialinterval wait "
    "waitinitial backofffactor minimum first",
    "delay": "wait seconds interval base value hedgedelay hedgingdelay after percentile",
    "factor": "expbase multiplier exponent growth waitexpbase mult",
    "max": "maxdelay cap maximum maxvalue waitmax maxinterval maxwait limit backoffmax upper "
    "maxhedges maxhedgedattempts maxattempts attempts hedges",
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
    # hedges
    "close": "dispose onloser cleanup closeresult",
    # budgets, and what adapts
    "slo": "target objective slotarget sloobjective availability availabilitytarget successrate "
    "goal",
    "target": "targetlatency latencytarget threshold latency slo objective seconds maxlatency",
    "target_latency": "target latencytarget latency threshold slo objective",
    "percentile": "quantile p pct",
    "samples": "size count n length numsamples",
    "min_samples": "minrequests mincalls",
    "min_requests": "mincalls minsamples minimumnumberofcalls minimumthroughput minimumrequests",
    "min_rate": "min minimum minlimit floor lower",
    "max_rate": "max maximum maxlimit ceiling upper",
    "on_throttle": "throttled onthrottled isthrottled",
    # checks
    "failures": "failurethreshold failuresbeforecritical unhealthythreshold maxfailures retries "
    "fall attempts threshold failurecount",
    "successes": "successthreshold successesbeforepassing healthythreshold rise successcount",
    "start_period": "initialdelay initialdelayseconds graceperiod startupperiod grace delay",
    "interval": "period periodseconds every frequency",
    "timeout": "timeoutseconds deadline",
    "critical": "required essential",
    "status": "expectedstatus expectedstatuscode expectedstatuscodes statuscode statuscodes codes",
    "body": "contains expectedbody text match pattern",
    "fn": "func function check callable probe",
    "metric": "fn func function gauge value",
    "connect": "connection engine factory dsn pool",
    "stable_time": "recoverytime cooldown hysteresis holdtime",
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


# The same of faults: all of them have a duration, which is seldom what was meant.
_OF_FAULTS: dict[str, tuple[str, ...]] = {}
for _meant, _names in {
    "min": "delay seconds latency mindelay",
    "after": "seconds timeout delay",
    "errors": "error exception exceptions exc fault raises",
    "message": "error exception text",
    "processors": "cores cpus processes workers threads",
    "folder": "path directory dir",
    "size": "bytes nbytes mb megabytes amount",
    "probability": "rate injectionrate prob chance percentage ratio frequency p",
    "limit": "times count maxinjections n",
    "lasts": "seconds length",
}.items():
    for _name in _names.split():
        _OF_FAULTS[_name] = (*_OF_FAULTS.get(_name, ()), _meant)


def _each(names: str, where: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), where)


_BACKOFF = "a back-off has it, as in backoff=Exponential(0.1, factor=2, max=10, jitter=0.1)"
# What takes no argument by position, and what to do instead.
BY_POSITION = {"Script": "add results with returns() and fails()"}

# What is no argument here, and where it is.
_NO_ARGUMENT = {
    "Retry": {
        **_each(
            "jitter factor multiplier maxdelay initialdelay waitinitial waitmax waitjitter "
            "maxwait waitexponentialmultiplier waitexponentialmax waitexpbase "
            "backofffactor expbase base max mindelay initial",
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
        **_each("statestorage storage backend redis", "each process has its own breaker"),
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
    "RateLimiter": _each("storage backend redis", "each process has its own limiter"),
    "AdaptiveRateLimiter": {
        "initial": "use rate=, the initial rate",
        **_each("per period limits", "the rate is in tokens per second"),
        **_each("decrease increase decreasefactor backoffratio", "the factors are fixed"),
    },
    "ErrorBudget": {
        **_each("onresult failureresult", "use is_failure=, a predicate of results"),
        "budget": "the objective is slo=, as in slo=0.999",
    },
    "LatencyBudget": _each(
        "window period windowseconds", "it counts the last calls, as in samples=1000"
    ),
    "Hedge": {
        **_each("quantile percentile", "write delay=Quantile(0.95)"),
        "timeout": "the delay is delay=; put a Timeout in front of it in a Pipeline",
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
        **_each("slo objective", 'use error_budget=, as in error_budget={"slo": 0.999}'),
        **_each(
            "target percentile targetlatency",
            'use latency_budget=, as in latency_budget={"target": 0.1}',
        ),
        **_each("hedgedelay hedging hedgeafter", 'use hedge=, as in hedge={"delay": 0.05}'),
        **_each("fault faults", "use chaos=, with a fault of holdfast.chaos"),
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
        of_fault = _OF_FAULTS.get(plain, ()) if "probability" in names else ()
        known = [one for one in (*of_fault, *_ARGUMENTS.get(plain, ())) if one in names]
        if known and "on" in names and known[0] != "ignore" and _names_exceptions(value):
            known = ["on"]
        meant = known[0] if known else None
    if meant == "rate" and isinstance(value, str) and "limits" in names:
        meant = "limits"
    if meant is not None:
        return f": did you mean {meant!r}?", meant
    if kind in _WITH_EVENTS and name.startswith("on_"):
        return ": add a listener with on_event()", None
    # Its value is only taken for that of the other argument where the names are all but the same.
    if (close := nearest(name, names, 0.7)) is None:
        return "", None
    return f": did you mean {close!r}?", close if nearest(name, names, 0.85) == close else None


_WITH_EVENTS = {
    "AdaptiveRateLimiter", "AdaptiveTimeout", "Bulkhead", "CircuitBreaker", "ErrorBudget",
    "Fallback", "Hedge", "LatencyBudget", "Pipeline", "Pipeline.standard", "PoolBulkhead",
    "RateLimiter", "Retry", "Timeout",
}  # fmt: skip


def _names_exceptions(value: object) -> bool:
    values = value if isinstance(value, (tuple, list)) else (value,)
    return all(isinstance(one, type) and issubclass(one, BaseException) for one in values)


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


def missing_name(name: str, public: Iterable[str]) -> AttributeError:
    """Return the error for a name that the package does not have, with the one to use instead."""
    text = f"module 'holdfast' has no attribute {name!r}"
    use = _instead_of(name, tuple(public))
    if use is None:
        return AttributeError(text)
    # With a name of its own, or the interpreter would add a second suggestion.
    return AttributeError(f"{text}: {use}", name=name)


# The same of classes that are no policies.
_OF_OTHERS: dict[str, dict[str, str]] = {
    "HealthMonitor": {
        **_each("register add_check register_check add_health_check", "use add(check)"),
        **_each("unregister remove_check deregister", "use remove(name)"),
        **_each("run check check_all run_checks execute invoke call", "use check_now()"),
        **_each("get_status get_all_statuses statuses state checks results", "use status()"),
        **_each("healthy is_up", "use is_healthy"),
        **_each("ready readiness", "use is_ready"),
        **_each("live liveness alive is_alive", "use is_live"),
        **_each("report get_report to_dict", "use holdfast.health.health_report(monitor)"),
        **_each("start_monitoring run_forever", "use start()"),
        **_each("stop_monitoring close shutdown", "use stop()"),
        **_each("statistics stats metrics counters get_stats", "use snapshot()"),
        **_each("add_listener add_listeners subscribe on_state_change on_change", _LISTEN),
    },
    "ManualClock": {
        **_each("tick sleep forward move shift step travel advance_by add", "use advance(seconds)"),
        **_each("time monotonic current", "use now()"),
        **_each("set_time move_to travel_to jump", "use set(seconds)"),
    },
    "Registry": {
        **_each("reset clear reset_policies", "use reset_all()"),
        **_each("get_all list policies names values items keys", "use all()"),
        **_each("find lookup circuit_breaker retry pipeline breaker", "use get(kind, name)"),
        **_each("register add_policy", "a policy with a name is registered when it is created"),
    },
    "RetryBudget": {
        **_each("withdraw acquire try_acquire take can_retry", "use try_withdraw()"),
        **_each("tokens available remaining", "use balance"),
        **_each("release put return_token", "use give_back()"),
        **_each("record_success success", "use deposit()"),
    },
}


def missing_of_guard(policy: object, name: str) -> str | None:
    """Return what to use instead of an attribute that a guarded function does not have."""
    if name == "retry_with":
        return "use with_options()"
    if name == "statistics":
        return "use policy.snapshot()"
    if not hasattr(policy, name):
        return None
    return f"use policy.{name}" + ("(function.__wrapped__, …)" if "call" in name else "")


def missing_attribute(policy: object, cls: type, name: str) -> AttributeError:
    """Return the error for an attribute that a class does not have, with what to use instead.

    Args:
        policy: A policy, or an object of another class; None for the class.
        cls: The class.
        name: The attribute.
    """
    ours = next((one.__name__ for one in cls.__mro__ if one.__name__ in _OF_OTHERS), None)
    use: str | None = None
    if ours is not None:
        use = _OF_OTHERS[ours].get(name)
    elif (kind := getattr(cls, "kind", None)) is not None:
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
    if plain in {"metrics", "prometheus"}:
        return "use `from holdfast.telemetry.prometheus import Collector`"
    if _is_module(name):
        return f"it is a module, use `import holdfast.{name}`"
    close = nearest(name, public, 0.7)
    return None if close is None else f"did you mean {close!r}?"


_LEAST_PART = 4  # letters, of a name that is part of another


def _plain(name: str) -> str:
    """Return a name as it is compared: circuit_breaker and CircuitBreaker are the same."""
    return name.replace("_", "").lower()


def _is_module(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return name.isidentifier() and find_spec(f"holdfast.{name}") is not None
    except (ImportError, ValueError):
        return False
