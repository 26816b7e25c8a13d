"""The figures of each kernel: a row of numbers, read where it stands.

Elsewhere: where that is (``ledger``, ``reader``), and what is made of the numbers (``stores``).
"""
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.string cimport strcmp

cdef tuple NAMES = (
    b"", b"holdfast.breaker", b"holdfast.bucket", b"holdfast.sliding", b"holdfast.bulkhead",
    b"holdfast.histogram", b"holdfast.retry", b"holdfast.timeout", b"holdfast.fallback",
    b"holdfast.hedge", b"holdfast.pipeline", b"holdfast.latency_budget", b"holdfast.error_budget",
    b"holdfast.adaptive_rate", b"holdfast.chaos", b"holdfast.check", b"holdfast.level", b"holdfast.meter",
    b"holdfast.component", b"holdfast.resource",
)

cdef hf_clock machine
hf_clock_init_system(&machine)


cdef int64_t machine_now_ns() noexcept nogil:
    return hf_clock_now_ns(&machine)


cdef size_t figures(int kind, const void *at, int64_t now_ns, uint64_t *out) noexcept nogil:
    """Read a kernel; return how many of the numbers are counts, which come first.

    Budgets show their windows, and components their downtime, as of this time of the machine.
    """
    if kind == HF_LEDGER_BREAKER:
        hf_breaker_figures(<const hf_breaker *> at, out)
        return HF_BREAKER_COUNTS
    if kind == HF_LEDGER_BUCKET:
        return hf_bucket_figures(<const hf_bucket *> at, out)
    if kind == HF_LEDGER_SLIDING:
        return hf_sliding_figures(<const hf_sliding *> at, out)
    if kind == HF_LEDGER_BULKHEAD:
        hf_bulkhead_figures(<const hf_bulkhead *> at, out)
        return HF_BULKHEAD_COUNTS
    if kind == HF_LEDGER_HISTOGRAM:
        return hf_histogram_figures(<const hf_histogram *> at, out)
    if kind == HF_LEDGER_RETRY:
        hf_retry_figures(<const hf_retry *> at, out)
        return HF_RETRY_COUNTS
    if kind == HF_LEDGER_TIMEOUT:
        hf_timeout_figures(<const hf_timeout *> at, out)
        return HF_TIMEOUT_COUNTS
    if kind == HF_LEDGER_FALLBACK:
        return hf_fallback_figures(<const hf_fallback *> at, out)
    if kind == HF_LEDGER_HEDGE:
        hf_hedge_figures(<const hf_hedge *> at, out)
        return HF_HEDGE_COUNTS
    if kind == HF_LEDGER_LATENCY_BUDGET:
        hf_latency_budget_figures(<const hf_latency_budget *> at, out)
        return HF_LATENCY_BUDGET_COUNTS
    if kind == HF_LEDGER_ERROR_BUDGET:
        hf_error_budget_figures(<const hf_error_budget *> at, now_ns, out)
        return HF_ERROR_BUDGET_COUNTS
    if kind == HF_LEDGER_ADAPTIVE_RATE:
        hf_adaptive_rate_figures(<const hf_adaptive_rate *> at, out)
        return HF_ADAPTIVE_RATE_COUNTS
    if kind == HF_LEDGER_CHAOS:
        return hf_chaos_figures(<const hf_chaos *> at, out)
    if kind == HF_LEDGER_CHECK:
        hf_check_figures(<const hf_check *> at, out)
        return HF_CHECK_COUNTS
    if kind == HF_LEDGER_LEVEL:
        hf_level_figures(<const hf_level *> at, out)
        return HF_LEVEL_COUNTS
    if kind == HF_LEDGER_METER:
        hf_meter_figures(<const hf_meter *> at, out)
        return HF_METER_COUNTS
    if kind == HF_LEDGER_COMPONENT:
        hf_component_figures(<const hf_component *> at, now_ns, out)
        return HF_COMPONENT_COUNTS
    if kind == HF_LEDGER_RESOURCE:
        hf_resource_figures(<const hf_resource *> at, out)
        return HF_RESOURCE_COUNTS
    hf_pipeline_figures(<const hf_pipeline *> at, out)
    return HF_PIPELINE_COUNTS


cdef size_t now_of(int kind) noexcept nogil:
    """How many numbers come after the counts: what is true at the moment."""
    if kind == HF_LEDGER_BULKHEAD or kind == HF_LEDGER_BREAKER or kind == HF_LEDGER_RESOURCE:
        return 2
    if kind == HF_LEDGER_LATENCY_BUDGET:
        return HF_LATENCY_BUDGET_NOW
    if kind == HF_LEDGER_ERROR_BUDGET:
        return HF_ERROR_BUDGET_NOW
    if kind == HF_LEDGER_METER:
        return HF_METER_NUMBERS
    return (kind == HF_LEDGER_RETRY or kind == HF_LEDGER_TIMEOUT or kind == HF_LEDGER_HEDGE
            or kind == HF_LEDGER_ADAPTIVE_RATE or kind == HF_LEDGER_CHECK
            or kind == HF_LEDGER_LEVEL or kind == HF_LEDGER_PIPELINE
            or kind == HF_LEDGER_COMPONENT)


cdef size_t size_of(int kind) noexcept nogil:
    """The bytes of a kernel that are read."""
    if kind == HF_LEDGER_BREAKER:
        return sizeof(hf_breaker)
    if kind == HF_LEDGER_BUCKET:
        return sizeof(hf_bucket)
    if kind == HF_LEDGER_SLIDING:
        return sizeof(hf_sliding)
    if kind == HF_LEDGER_BULKHEAD:
        return sizeof(hf_bulkhead)
    if kind == HF_LEDGER_HISTOGRAM:
        return sizeof(hf_histogram)
    if kind == HF_LEDGER_RETRY:
        return sizeof(hf_retry)
    if kind == HF_LEDGER_TIMEOUT:
        return sizeof(hf_timeout)
    if kind == HF_LEDGER_FALLBACK:
        return sizeof(hf_fallback)
    if kind == HF_LEDGER_HEDGE:
        return sizeof(hf_hedge)
    if kind == HF_LEDGER_PIPELINE:
        return sizeof(hf_pipeline)
    if kind == HF_LEDGER_LATENCY_BUDGET:
        return sizeof(hf_latency_budget)
    if kind == HF_LEDGER_ERROR_BUDGET:
        return sizeof(hf_error_budget)
    if kind == HF_LEDGER_ADAPTIVE_RATE:
        return sizeof(hf_adaptive_rate)
    if kind == HF_LEDGER_CHAOS:
        return sizeof(hf_chaos)
    if kind == HF_LEDGER_CHECK:
        return sizeof(hf_check)
    if kind == HF_LEDGER_LEVEL:
        return sizeof(hf_level)
    if kind == HF_LEDGER_METER:
        return sizeof(hf_meter)
    if kind == HF_LEDGER_COMPONENT:
        return sizeof(hf_component)
    if kind == HF_LEDGER_RESOURCE:
        return sizeof(hf_resource)
    return sizeof(uint64_t)  # the length of a vector; its numbers are looked at later


cdef tuple numbers(const uint64_t *first, size_t n):
    cdef size_t i
    return tuple([first[i] for i in range(n)])


cdef int kind_of(object holder) except -1:
    cdef const char *name = PyCapsule_GetName(holder)
    cdef int kind
    for kind in range(1, HF_LEDGER_TYPES):
        if strcmp(name, <const char *> <bytes> NAMES[kind]) == 0:
            return kind
    raise ValueError(f"kernel: got one of {name!r}, allowed one that has figures")


cdef void *kernel_at(object holder) except NULL:
    """Return where the kernel of a capsule stands."""
    return PyCapsule_GetPointer(holder, PyCapsule_GetName(holder))


def read(kernel):
    """Return (counts, what is true at the moment) of a kernel: two tuples of numbers."""
    cdef object holder = kernel._capsule()
    cdef int kind = kind_of(holder)
    cdef uint64_t out[HF_FIGURES_MOST]
    cdef size_t counts = figures(kind, kernel_at(holder), machine_now_ns(), out)
    return numbers(out, counts), numbers(out + counts, now_of(kind))


cdef const hf_figure_name *named(int kind) noexcept nogil:
    if kind == HF_LEDGER_BREAKER:
        return hf_breaker_names
    if kind == HF_LEDGER_BUCKET or kind == HF_LEDGER_SLIDING:
        return hf_limiter_names
    if kind == HF_LEDGER_BULKHEAD:
        return hf_bulkhead_names
    if kind == HF_LEDGER_HISTOGRAM:
        return hf_histogram_names
    if kind == HF_LEDGER_RETRY:
        return hf_retry_names
    if kind == HF_LEDGER_TIMEOUT:
        return hf_timeout_names
    if kind == HF_LEDGER_FALLBACK:
        return hf_fallback_names
    if kind == HF_LEDGER_HEDGE:
        return hf_hedge_names
    if kind == HF_LEDGER_LATENCY_BUDGET:
        return hf_latency_budget_names
    if kind == HF_LEDGER_ERROR_BUDGET:
        return hf_error_budget_names
    if kind == HF_LEDGER_ADAPTIVE_RATE:
        return hf_adaptive_rate_names
    if kind == HF_LEDGER_CHAOS:
        return hf_chaos_names
    if kind == HF_LEDGER_CHECK:
        return hf_check_names
    if kind == HF_LEDGER_LEVEL:
        return hf_level_names
    if kind == HF_LEDGER_METER:
        return hf_meter_names
    if kind == HF_LEDGER_COMPONENT:
        return hf_component_names
    if kind == HF_LEDGER_RESOURCE:
        return hf_resource_names
    return hf_pipeline_names


def names(kind):
    """Return (name, how many numbers) of each count of a kind of kernel, in the order of ``read``.

    Raises:
        ValueError: No kernel is called so.
    """
    cdef bytes wanted = b"holdfast." + kind.encode()
    if wanted not in NAMES:
        raise ValueError(f"kind: got {kind!r}, allowed one that has figures")
    cdef const hf_figure_name *each = named(NAMES.index(wanted))
    found = []
    while each.name != NULL:
        found.append((each.name.decode(), each.numbers))
        each += 1
    return tuple(found)


def layout():
    """Return a number that differs where the layout or the names of the counts do.

    The first part counts up whenever the table is written in another way.
    """
    cdef uint64_t mixed = 0xcbf29ce484222325
    cdef int kind
    cdef list parts = [2, sizeof(hf_ledger_header), sizeof(hf_ledger_entry), HF_FIGURES_MOST]
    parts += [size_of(kind) for kind in range(HF_LEDGER_TYPES)]
    for kind in range(1, HF_LEDGER_TYPES):
        for name, numbers_of_it in names(NAMES[kind].decode().removeprefix("holdfast.")):
            parts += [*name.encode(), numbers_of_it]
    for part in parts:
        mixed = (mixed ^ <uint64_t> part) * <uint64_t> 0x100000001b3
    return mixed
