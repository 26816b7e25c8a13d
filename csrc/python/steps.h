/*
 * Steps: what each kind of policy does with a call.
 *
 * A kind of step is one file, step_*.c, that ends with HF_STEP_VERBS(). Who goes through a gate calls
 * hf_step_enter() and its kin, and steps.c hands on to the kind. A verb that is forgotten does not compile;
 * a kind in HF_STEP_KINDS whose verbs are missing does not link.
 */
#ifndef HF_STEPS_H
#define HF_STEPS_H

#include "control.h"

/*
 * The verbs of a kind of step, all of them static functions:
 *
 *   enter    May the call begin? Any answer but HF_IN holds nothing. HF_BROKEN: an exception is set.
 *   leave    The call has ended: with a result, with an outcome that its holder names, or, if that is
 *            HF_UNJUDGED and the result NULL, with the exception that is set. -1: an exception is set, instead
 *            of the result or of the one that was set.
 *   undo     The call did not run: give back what the step holds. -1: interrupted; that exception is set.
 *   abandon  Nobody will say how the call ended. -1: interrupted; that exception is set.
 *   keep     The first item of a stream is there: what controls lets go of the call, what admits stays held.
 *   waited   After HF_MUST_WAIT and a wait, the step is held.
 */
#define HF_STEP_VERBS(name, enter, leave, undo, abandon, keep, waited)                             \
    hf_entering hf_##name##_step_enter(GateObject *step, const hf_pass *pass, hf_hold *hold,       \
                                       hf_refusal *why)                                            \
    {                                                                                              \
        return enter(step, pass, hold, why);                                                       \
    }                                                                                              \
    int Py_NO_INLINE hf_##name##_step_leave(GateObject *step, const hf_pass *pass, hf_hold *hold,  \
                                            PyObject *result, int outcome, int64_t end_ns)         \
    {                                                                                              \
        return leave(step, pass, hold, result, outcome, end_ns);                                   \
    }                                                                                              \
    int hf_##name##_step_undo(GateObject *step, const hf_pass *pass, hf_hold *hold)                \
    {                                                                                              \
        return undo(step, pass, hold);                                                             \
    }                                                                                              \
    int hf_##name##_step_abandon(GateObject *step, const hf_pass *pass, hf_hold *hold)             \
    {                                                                                              \
        return abandon(step, pass, hold);                                                          \
    }                                                                                              \
    void hf_##name##_step_keep(GateObject *step, const hf_pass *pass, hf_hold *hold)               \
    {                                                                                              \
        keep(step, pass, hold);                                                                    \
    }                                                                                              \
    void hf_##name##_step_waited(GateObject *step, const hf_pass *pass, hf_hold *hold)             \
    {                                                                                              \
        waited(step, pass, hold);                                                                  \
    }

/* Hidden, so that the linker refuses what is declared and not there. */
#define HF_STEP_DECLARE(KIND, word, name)                                                          \
    hf_entering hf_##name##_step_enter(GateObject *, const hf_pass *, hf_hold *, hf_refusal *);    \
    int hf_##name##_step_leave(GateObject *, const hf_pass *, hf_hold *, PyObject *, int,          \
                               int64_t);                                                           \
    int hf_##name##_step_undo(GateObject *, const hf_pass *, hf_hold *);                           \
    int hf_##name##_step_abandon(GateObject *, const hf_pass *, hf_hold *);                        \
    void hf_##name##_step_keep(GateObject *, const hf_pass *, hf_hold *);                          \
    void hf_##name##_step_waited(GateObject *, const hf_pass *, hf_hold *);
#pragma GCC visibility push(hidden)
HF_STEP_KINDS(HF_STEP_DECLARE)
#pragma GCC visibility pop

/* Verbs of steps that have nothing to do. */
static inline int
hf_step_no_leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result,
                 int outcome, int64_t end_ns)
{
    (void)step, (void)pass, (void)hold, (void)result, (void)outcome, (void)end_ns;
    return 0;
}

static inline int
hf_step_nothing_held(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)step, (void)pass, (void)hold;
    return 0;
}

static inline void
hf_step_goes_on(GateObject *step, const hf_pass *pass, hf_hold *hold)
{
    (void)step, (void)pass, (void)hold;
}

/* ---- step_chaos.c ---- */
PyObject *hf_chaos_strike(GateObject *step, const hf_hold *hold, const char *method);
void hf_chaos_put_off(GateObject *step, const hf_hold *hold);
uint8_t hf_steps_without_faults(const GateObject *self);
PyObject *hf_gate_inject(PyObject *op, PyObject *on);
PyObject *hf_gate_attach(PyObject *op, PyObject *fault);

/* Whether what is raised while this step is waited for is raised in place of the function. */
static inline bool
hf_step_acts_as_call(const GateObject *step)
{
    return step->kind == HF_KIND_CHAOS;
}

/* ---- steps.c ---- */
PyObject *hf_step_await(GateObject *gate, const hf_pass *pass, const char *method);
void hf_step_put_off(GateObject *gate, const hf_pass *pass);
hf_entering hf_step_enter(GateObject *step, const hf_pass *pass, hf_hold *hold, hf_refusal *why);
int hf_step_leave(GateObject *step, const hf_pass *pass, hf_hold *hold, PyObject *result,
                  int outcome, int64_t end_ns);
int hf_step_undo(GateObject *step, const hf_pass *pass, hf_hold *hold);
int hf_step_abandon(GateObject *step, const hf_pass *pass, hf_hold *hold);
void hf_step_keep(GateObject *step, const hf_pass *pass, hf_hold *hold);
void hf_step_waited(GateObject *step, const hf_pass *pass, hf_hold *hold);
hf_unwinding hf_step_turn(GateObject *gate, hf_pass *pass, PyObject **result);

/* ---- step_error_budget.c ---- */
void hf_error_budgets_refused(const GateObject *gate, hf_pass *pass);

#endif /* HF_STEPS_H */
