/*
 * The way in: entering the steps of a gate, in order.
 *
 * Owns the order of things; what each step decides is its kernel's business. Nothing here blocks: a
 * step that may be waited for is reported (HF_MUST_WAIT) and the waiting is done by Python above.
 */
#include "control.h"

uint32_t hf_fork_epoch = 1;

static inline int64_t
pass_now(const hf_pass *pass, const hf_clock *clock)
{
    return pass->clock == clock ? pass->now_ns : hf_clock_now_ns(clock);
}

/* ---- what Python hears of ---- */

#define HF_LONGEST_CHAIN 100 /* of exceptions; whatever is beyond may be a circle */

/* Whether it is `first` or among its contexts, and theirs. */
static bool
in_chain(const PyObject *exception, PyObject *first)
{
    bool found = false;
    Py_INCREF(first);
    for (int i = 0; i < HF_LONGEST_CHAIN && first != NULL && !found; i++) {
        found = first == exception;
        Py_SETREF(first, PyException_GetContext(first));
    }
    Py_XDECREF(first);
    return found;
}

/*
 * The exception that is set was raised while `before`, which is stolen and may be NULL, was on its way:
 * as in an `except` block it gets that as its context, at the end of what it has brought itself. Nothing
 * is to be done where Python code was shown `before` and has raised it, or from it.
 */
void
hf_chain(PyObject *before)
{
    if (before == NULL)
        return;
    PyObject *exception = hf_take_exception(), *last = Py_NewRef(exception), *context = NULL;
    for (int i = 0; i < HF_LONGEST_CHAIN && !in_chain(last, before); i++) {
        context = PyException_GetContext(last);
        if (context == NULL || in_chain(context, before)) {
            if (context != before)
                PyException_SetContext(last, Py_NewRef(before));
            break;
        }
        Py_SETREF(last, context);
        context = NULL;
    }
    Py_XDECREF(context);
    Py_DECREF(last);
    Py_DECREF(before);
    hf_give_exception(exception);
}

/*
 * Tell the policy of a change of state, with whatever exception the call raised set aside.
 * -1: the listener ended the call (KeyboardInterrupt and the like); its exception is set.
 */
int
hf_report_change(GateObject *step, hf_change change)
{
    PyObject *raised = hf_take_exception();
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_changed", "iiK", (int)change.from,
                                           (int)change.to, (unsigned long long)change.gen);
    if (answer == NULL) {
        hf_chain(raised);
        return -1;
    }
    Py_DECREF(answer);
    hf_give_exception(raised);
    return 0;
}

static hf_entering
refuse(GateObject *step, hf_refusal *why, hf_reason reason, int64_t retry_after_ns)
{
    why->step = step;
    why->reason = reason;
    why->retry_after_ns = retry_after_ns;
    if (!step->listening)
        return HF_REFUSED;
    return hf_tell_refusal(why) < 0 ? HF_BROKEN : HF_REFUSED;
}

/* ---- entering ---- */

/* The coarse clock lags by a tick at most, which is 10 ms where the kernel ticks slowest. */
#define HF_LAG_NS INT64_C(10000000)

static hf_entering Py_NO_INLINE
enter_breaker_slow(GateObject *step, const hf_pass *pass, hf_breaker_permit *permit,
                   hf_refusal *why)
{
    hf_breaker *breaker = step->cell;
    hf_change change = {0};
    /*
     * Amid an opening the coarse clock will do, or a time that was read before, and saves 20 ns a
     * refusal. At its ends a time that lags would refuse who comes when told to, or pass for time that
     * stepped back and cut the opening short.
     */
    int64_t now = pass->clock == step->clock ? pass->now_ns : hf_clock_coarse_ns(step->clock);
    int64_t left = step->mode == HF_OBSERVE ? 0 : hf_breaker_refuse_fast(breaker, now, HF_LAG_NS);
    if (left != 0)
        return refuse(step, why, left < 0 ? HF_REASON_FORCED_OPEN : HF_REASON_OPEN, left);
    now = hf_clock_now_ns(step->clock);
    bool admitted = hf_probe_admit(step, now, permit, &change);
    if (!admitted && step->mode == HF_OBSERVE) {
        hf_breaker_admit_observed(breaker, permit);
        admitted = true;
    }
    if (change.happened && hf_report_change(step, change) < 0) {
        if (admitted)
            hf_breaker_undo(breaker, permit);
        return HF_BROKEN;
    }
    if (admitted) {
        hf_probe_begin(step, permit);
        return HF_IN;
    }
    return refuse(step, why, (hf_reason)change.refused_by, hf_breaker_retry_after_ns(breaker, now));
}

static inline hf_entering
enter_breaker(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    bool own_clock = step->timed && pass->clock != step->clock;
    hold->since_ns = own_clock ? hf_clock_now_ns(step->clock) : HF_NOTHING_HELD;
    if (hf_breaker_admit(step->cell, &hold->breaker))
        return HF_IN;
    return enter_breaker_slow(step, pass, &hold->breaker, why);
}

/* ---- a limiter's cells: one for each of its limits, taken together or not at all ---- */

static inline bool
cell_try_take(const GateObject *step, int cell, uint64_t n, int64_t now)
{
    return step->kind == HF_KIND_BUCKET ? hf_bucket_try_take(step->cells[cell], n, now)
                                        : hf_sliding_try_take(step->cells[cell], n, now);
}

static inline int64_t
cell_wait_ns(const GateObject *step, int cell, uint64_t n, int64_t now)
{
    return step->kind == HF_KIND_BUCKET ? hf_bucket_wait_ns(step->cells[cell], n, now)
                                        : hf_sliding_wait_ns(step->cells[cell], n, now);
}

void
hf_limiter_refund(const GateObject *step, int count, uint64_t n, int64_t taken_ns)
{
    for (int cell = 0; cell < count; cell++) {
        if (step->kind == HF_KIND_BUCKET)
            hf_bucket_refund(step->cells[cell], n);
        else
            hf_sliding_refund(step->cells[cell], n, taken_ns);
    }
}

/* How long until every cell has n tokens. */
int64_t
hf_limiter_wait_ns(const GateObject *step, uint64_t n, int64_t now)
{
    int64_t longest = 0;
    for (int cell = 0; cell < step->n_cells; cell++) {
        int64_t wait = cell_wait_ns(step, cell, n, now);
        if (wait > longest)
            longest = wait;
    }
    return longest;
}

/* Take n tokens from every cell, or none from any. */
bool
hf_limiter_take(const GateObject *step, uint64_t n, int64_t now)
{
    if (step->n_cells == 1 && step->kind == HF_KIND_BUCKET)
        return hf_bucket_try_take(step->cell, n, now); /* as nearly all are */
    for (int cell = 0; cell < step->n_cells; cell++) {
        if (!cell_try_take(step, cell, n, now)) {
            hf_limiter_refund(step, cell, n, now);
            return false;
        }
    }
    return true;
}

static hf_entering
enter_limiter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    int64_t now = pass_now(pass, step->clock);
    const uint64_t clears = hf_load_acquire(&step->clears);
    if (step->can_wait && hf_limiter_wait_ns(step, 1, now) > 0)
        return HF_MUST_WAIT;
    if (hf_limiter_take(step, 1, now)) {
        hold->taken_ns = now;
        hold->clears = clears;
        return HF_IN;
    }
    if (step->can_wait)
        return HF_MUST_WAIT; /* another thread was faster */
    if (step->mode != HF_OBSERVE)
        return refuse(step, why, HF_REASON_RATE, hf_limiter_wait_ns(step, 1, now));
    hf_count(&step->observed, 1);
    hold->taken_ns = HF_NOTHING_HELD;
    return HF_IN;
}

/* A lone bulkhead times its occupants by the coarse clock: right on average, for 3 ns. */
static inline int64_t
occupancy_now(const hf_pass *pass, const GateObject *step)
{
    return pass->clock == step->clock ? pass->now_ns : hf_clock_coarse_ns(step->clock);
}

/* Inside, from a time on. What goes on in threads from before is no concern of this place. */
static void
occupy(const hf_pass *pass, hf_hold *hold, int64_t now_ns)
{
    const hf_course *course = pass->course;
    PyObject *works = course != NULL ? course->works : NULL;
    hold->works = works != NULL ? (uint32_t)PyList_GET_SIZE(works) : 0;
    hold->since_ns = now_ns;
}

static hf_entering
enter_bulkhead(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    hf_bulkhead *bulkhead = step->cell;
    if (step->can_wait) {
        if (!hf_bulkhead_enter_if_room(bulkhead))
            return HF_MUST_WAIT;
    } else if (!hf_bulkhead_try_enter(bulkhead)) {
        if (step->mode != HF_OBSERVE)
            return refuse(step, why, HF_REASON_FULL, -1);
        hf_bulkhead_force_enter(bulkhead);
        hf_count(&step->observed, 1);
    }
    occupy(pass, hold, occupancy_now(pass, step));
    return HF_IN;
}

static inline hf_entering
enter_step(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why)
{
    switch (step->kind) {
    case HF_KIND_BREAKER:
        return enter_breaker(step, pass, hold, why);
    case HF_KIND_BUCKET:
    case HF_KIND_SLIDING:
        return enter_limiter(step, pass, hold, why);
    case HF_KIND_BULKHEAD:
        return enter_bulkhead(step, pass, hold, why);
    case HF_KIND_TIMEOUT:
        return hf_timeout_enter(step, pass, hold);
    case HF_KIND_RETRY:
        return hf_retry_enter(step, pass, hold);
    case HF_KIND_NONE:
        hf_need_made(step);
        return HF_BROKEN;
    default:
        return HF_IN;
    }
}

/*
 * Enter the steps from pass->entered on. Any other answer but HF_IN leaves what was entered so far in
 * place: whoever waits for HF_MUST_WAIT calls again after `pass->entered++`.
 */
hf_entering
hf_gate_enter_steps(GateObject *gate, hf_pass *pass, hf_refusal *why)
{
    if (gate->reads_clock && pass->clock == NULL) {
        pass->now_ns = hf_clock_now_ns(gate->clock);
        pass->clock = gate->clock;
    }
    const hf_course *course = pass->course;
    bool threaded = course != NULL && course->threaded;
    Py_ssize_t inside = threaded ? gate->threaded_at + 1 : gate->n_steps;
    while (pass->entered < inside) {
        int at = pass->entered;
        hf_entering answer = enter_step(gate->steps[at], pass, &pass->hold[at], why);
        if (answer != HF_IN)
            return answer;
        pass->entered = at + 1;
    }
    return HF_IN;
}

/* The same, but a refusal has undone everything. */
hf_entering
hf_gate_enter(GateObject *gate, hf_pass *pass, hf_refusal *why)
{
    if (gate->lone) { /* a refusal is to be quick as well */
        hf_entering answer = enter_breaker(gate, pass, &pass->hold[0], why);
        pass->entered = answer == HF_IN;
        return answer;
    }
    hf_entering answer = hf_gate_enter_steps(gate, pass, why);
    bool undoes = answer == HF_REFUSED || answer == HF_BROKEN;
    return undoes && hf_gate_undo(gate, pass) < 0 ? HF_BROKEN : answer;
}

/* After a wait the step is held, and the time is to be read again: waiting is not the call's time. */
void
hf_gate_waited(GateObject *gate, hf_pass *pass)
{
    GateObject *step = gate->steps[pass->entered];
    hf_hold *hold = &pass->hold[pass->entered];
    pass->clock = NULL;
    if (step->kind == HF_KIND_BULKHEAD) {
        occupy(pass, hold, hf_clock_coarse_ns(step->clock));
    } else {
        hold->taken_ns = hf_clock_now_ns(step->clock);
        hold->clears = hf_load_acquire(&step->clears);
    }
    pass->entered++;
}

/* Let this thread wait for the step that must be waited for. -1: in vain; an exception is set. */
int
hf_step_block(GateObject *step)
{
    PyObject *answer = PyObject_CallMethod((PyObject *)step, "_block", NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* Enter from a thread that may block. 0: inside. -1: the refusal, or another exception, is set. */
int
hf_gate_enter_blocking(GateObject *gate, hf_pass *pass)
{
    hf_refusal why;
    for (;;) {
        hf_entering entered = hf_gate_enter(gate, pass, &why);
        if (entered == HF_IN)
            return 0;
        if (entered == HF_REFUSED)
            hf_refuse(&why);
        if (entered != HF_MUST_WAIT)
            return -1;
        if (hf_step_block(gate->steps[pass->entered]) < 0) {
            hf_gate_undo(gate, pass);
            return -1;
        }
        hf_gate_waited(gate, pass);
    }
}

/* Enter from a thread, into a block. -1: an exception is set, and nothing is held. */
int
hf_gate_enter_block(GateObject *gate, hf_pass *pass)
{
    hf_pass_init(pass);
    return hf_gate_enter_blocking(gate, pass);
}

void
hf_refuse(const hf_refusal *why)
{
    PyObject *exception = hf_rejected_new(why, why->step->rejection);
    if (exception != NULL)
        hf_give_exception(exception);
}
