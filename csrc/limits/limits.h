/*
 * Windows by key: the tables of counts behind the face of `limits`, and its types on the way to a hit.
 *
 *   windows.c      the table, without Python: keys, their windows, how long they stay, which one goes when there are too many
 *   text.c         the text of a key, put together without an object for it
 *   plan_type.c    Plan: what an item means; Tally: where its hits are counted
 *   item_type.c    Item: the base of the items of the face
 *   windows_type.c FixedWindows, MovingWindows and CounterWindows
 *   hit.c          a hit from Python, from its arguments to its answer
 *   limiter_type.c Limiter: the base of the strategies of the face
 *
 * The kernels decide (hf_fixed_window.h, hf_moving_window.h, hf_window_counter.h). Nothing here reads or makes an
 * object while it holds the lock of a table.
 */
#ifndef HF_LIMITS_H
#define HF_LIMITS_H

#include "hf_build.h"
#include "py_versions.h"

#include "windows.h"

/* What an object has, while it is used: see hf_keep(). */
#ifdef HF_SERIALIZED
#define HF_USE_POINTER(at) Py_XNewRef(HF_GET_POINTER(at))
#define HF_USED(object) Py_XDECREF(object)
#else
#define HF_USE_POINTER(at) ((PyObject *)HF_GET_POINTER(at))
#define HF_USED(object) ((void)(object))
#endif

/* ---- text.c ---- */

typedef struct hf_text {
    char *at;
    size_t length, room;
    char local[256];
} hf_text;

static inline void
hf_text_init(hf_text *t)
{
    t->at = t->local;
    t->length = 0;
    t->room = sizeof t->local;
}

static inline void
hf_text_end(hf_text *t)
{
    if (t->at != t->local)
        PyMem_RawFree(t->at);
}

int hf_text_add(hf_text *t, const char *text, size_t length);
int hf_text_add_object(hf_text *t, PyObject *object);

/* ---- plan_type.c ---- */

enum { HF_TALLY_ENFORCE, HF_TALLY_OBSERVE, HF_TALLY_OFF };

typedef struct TallyObject {
    PyObject_HEAD
    PyObject *kernel;
    hf_au64 *allowed, *rejected;
    hf_au32 mode;
    PyObject *on_refused; /* or NULL */
    PyObject *policy;     /* whose hits these are: lives as long; or NULL */
} TallyObject;

typedef struct PlanObject {
    PyObject_HEAD
    PyObject *head, *tail;
    TallyObject *tally; /* or NULL */
    int64_t amount, expiry_ns;
    char *text; /* head, tail */
    size_t head_length, tail_length;
} PlanObject;

extern PyTypeObject *hf_tally_type, *hf_plan_type;
int hf_plan_ready(PyObject *module);
/* Count a hit, and give what it is to be told: 1, 0, or -1 with an error set. */
int hf_tally_count(TallyObject *tally, bool taken);

static inline bool
hf_tally_is_off(const TallyObject *tally)
{
    return tally != NULL && hf_load_relaxed(&tally->mode) == HF_TALLY_OFF;
}

/* ---- item_type.c ---- */

typedef struct ItemObject {
    PyObject_HEAD
    PyObject *namespace, *amount, *multiples; /* NULL: not set */
    PyObject *plan;                           /* or NULL */
    PyObject *parked; /* a list of what plan was before, or NULL; see hf_keep() */
} ItemObject;

extern PyTypeObject *hf_item_type;
int hf_item_ready(PyObject *module);
/* Keep, in a list or NULL, what has been replaced and another thread may still read. With the GIL: drop it. */
int hf_keep(PyObject **list, PyObject *replaced);
int hf_item_set_plan(ItemObject *item, PyObject *plan);

/* ---- windows_type.c ---- */

typedef struct WindowsObject {
    PyObject_HEAD
    hf_windows windows;
    hf_clock *clock;
    PyObject *clock_object;
    PyObject *plan_of;
    PyObject *tally_of; /* or NULL */
    PyObject *weakrefs;
} WindowsObject;

extern PyTypeObject *hf_windows_types[3];
int hf_windows_ready(PyObject *module);

static inline bool
hf_is_windows(PyObject *op)
{
    return Py_IS_TYPE(op, hf_windows_types[HF_FIXED]) ||
           Py_IS_TYPE(op, hf_windows_types[HF_MOVING]) ||
           Py_IS_TYPE(op, hf_windows_types[HF_COUNTER]);
}

/* ---- hit.c ---- */

/* Vectorcalls of hit(item, *ids, cost=1) and test(…). */
PyObject *hf_hit(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *hf_test(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *hf_hit_text(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames);
PyObject *hf_test_text(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames);
PyObject *hf_look_item(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *hf_clear_item(WindowsObject *self, PyObject *const *args, Py_ssize_t nargs);
PyObject *hf_shown_tuple(WindowsObject *self, const hf_key *key, int64_t per_ns, int64_t now_ns);
int hf_hit_ready(void);

/* An integer within bounds; from another a TypeError, or a ValueError that names what is allowed. */
int hf_read_whole(PyObject *value, const char *name, int64_t least, int64_t most, int64_t *number);
/* An integer that is held at the bounds. */
int hf_read_clamped(PyObject *value, const char *name, int64_t least, int64_t most,
                    int64_t *number);
/* A number of at least 0, rounded up, and held at HF_AMOUNT_MOST. */
int hf_read_cost(PyObject *value, const char *name, int64_t *number);
#define HF_PER_MOST HF_WINDOW_COUNTER_PER_MOST
#define HF_AMOUNT_MOST HF_WINDOW_COUNTER_MOST

/* ---- limiter_type.c ---- */

extern PyTypeObject *hf_limiter_type;
int hf_limiter_ready(PyObject *module);
PyObject *hf_limiter_own_methods(PyObject *module, PyObject *cls);

#endif /* HF_LIMITS_H */
