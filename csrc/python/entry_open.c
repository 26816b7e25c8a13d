/*
 * Entries without an owner: made by ExitStack or by hand, where no object of the interpreter's stands for
 * them. They belong to their policy. An exit that has no entry of its own takes the newest that was made by
 * the same task or, outside of tasks, in the same context; where there is none, as in another thread, the
 * oldest of all.
 */
#include "control.h"

typedef struct hf_open_entry {
    struct hf_open_entry *older, *newer;
    struct hf_open_entry *next, **at; /* in the slot of who has made it, the newest first */
    const void *whose;                /* only compared */
    hf_pass pass;
} hf_open_entry;

typedef struct hf_open_entries {
    hf_open_entry *oldest, *newest;
    hf_open_entry **slots, *one; /* &one, or an array of its own */
    size_t n, mask;
} hf_open_entries;

/* The task that runs here, or else the context. */
static const void *
who_is_here(void)
{
    PyObject *task = NULL;
    if (hf_task_here(&task) < 0)
        PyErr_Clear();
    Py_XDECREF(task); /* it runs: others hold it */
    const void *whose = task != NULL ? task : hf_context_here();
    if (whose == NULL)
        PyErr_Clear();
    return whose;
}

static hf_open_entry **
slot_of(const hf_open_entries *open, const void *whose)
{
    uintptr_t bits = (uintptr_t)whose;
    return &open->slots[((bits >> 4) ^ (bits >> 14)) & open->mask];
}

static void
put(hf_open_entries *open, hf_open_entry *entry)
{
    hf_open_entry **slot = slot_of(open, entry->whose);
    entry->next = *slot;
    entry->at = slot;
    if (entry->next != NULL)
        entry->next->at = &entry->next;
    *slot = entry;
}

/* More slots, with all that is in those there were, the oldest first. Without memory they stay. */
static void
grow(hf_open_entries *open)
{
    size_t size = 4 * (open->mask + 1);
    hf_open_entry **slots = PyMem_Calloc(size, sizeof *slots);
    if (slots == NULL)
        return;
    if (open->slots != &open->one)
        PyMem_Free(open->slots);
    open->slots = slots;
    open->mask = size - 1;
    for (hf_open_entry *entry = open->oldest; entry != NULL; entry = entry->newer)
        put(open, entry);
}

/* False: no memory. */
static bool
add(GateObject *gate, hf_open_entry *entry)
{
    hf_open_entries *open = gate->open;
    if (open == NULL) {
        if ((open = gate->open = PyMem_Calloc(1, sizeof *open)) == NULL)
            return false;
        open->slots = &open->one;
    }
    entry->older = open->newest;
    entry->newer = NULL;
    *(open->newest != NULL ? &open->newest->newer : &open->oldest) = entry;
    open->newest = entry;
    put(open, entry);
    if (++open->n > open->mask + 1)
        grow(open);
    return true;
}

void
hf_entry_leave_open(GateObject *gate, const hf_pass *pass)
{
    hf_open_entry *entry = PyMem_Malloc(sizeof *entry);
    bool added = false;
    if (entry != NULL) {
        entry->whose = who_is_here();
        hf_pass_copy(&entry->pass, pass);
        HF_BEGIN_EXCLUSIVE(gate);
        added = add(gate, entry);
        HF_END_EXCLUSIVE();
    }
    if (added)
        return;
    hf_pass copy = *pass;
    PyMem_Free(entry);
    hf_gate_drop(gate, &copy, true); /* no memory to remember it by: give it back now */
}

static hf_open_entry *
take_out(hf_open_entries *open, hf_open_entry *entry)
{
    *(entry->older != NULL ? &entry->older->newer : &open->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &open->newest) = entry->older;
    *entry->at = entry->next;
    if (entry->next != NULL)
        entry->next->at = entry->at;
    open->n--;
    return entry;
}

/* The newest that was made by that one, or else the oldest; NULL: there is none. */
static hf_open_entry *
take(hf_open_entries *open, const void *whose)
{
    if (open == NULL || open->oldest == NULL)
        return NULL;
    hf_open_entry *entry = whose != NULL ? *slot_of(open, whose) : NULL;
    while (entry != NULL && entry->whose != whose)
        entry = entry->next;
    return take_out(open, entry != NULL ? entry : open->oldest);
}

/* Those of the process that forked are not this one's to leave. */
static bool
take_pass(GateObject *gate, const void *whose, hf_pass *pass)
{
    for (;;) {
        hf_open_entry *entry;
        HF_BEGIN_EXCLUSIVE(gate);
        entry = take(gate->open, whose);
        HF_END_EXCLUSIVE();
        if (entry == NULL)
            return false;
        hf_pass_copy(pass, &entry->pass);
        PyMem_Free(entry);
        if (pass->fork_epoch == hf_fork_epoch)
            return true;
        hf_gate_drop(gate, pass, true);
    }
}

bool
hf_entry_take_open(GateObject *gate, hf_pass *pass)
{
    return take_pass(gate, gate->open != NULL ? who_is_here() : NULL, pass);
}

/* The gate dies: so do the entries nobody closed. */
void
hf_entries_forget(GateObject *gate)
{
    hf_pass pass;
    while (take_pass(gate, NULL, &pass))
        hf_gate_drop(gate, &pass, true);
    if (gate->open != NULL && gate->open->slots != &gate->open->one)
        PyMem_Free(gate->open->slots);
    PyMem_Free(gate->open);
    gate->open = NULL;
}
