/*
 * Entries without an owner: made by ExitStack or by hand, where no object of the interpreter's stands for
 * them. They belong to their policy, oldest first; an exit that has no entry of its own takes one of them.
 */
#include "hfpy.h"

typedef struct hf_open_entry {
    struct hf_open_entry *next;
    hf_pass pass;
} hf_open_entry;

void
hf_entry_leave_open(GateObject *gate, const hf_pass *pass)
{
    hf_open_entry *open = PyMem_Malloc(sizeof *open);
    if (open == NULL) {
        hf_pass copy = *pass;
        hf_gate_drop(gate, &copy, true); /* no memory to remember it by: give it back now */
        return;
    }
    open->next = NULL;
    hf_pass_copy(&open->pass, pass);
    HF_BEGIN_EXCLUSIVE(gate);
    if (gate->open_last != NULL)
        gate->open_last->next = open;
    else
        gate->open_first = open;
    gate->open_last = open;
    HF_END_EXCLUSIVE();
}

static bool
take_first(GateObject *gate, hf_pass *pass)
{
    hf_open_entry *open;
    HF_BEGIN_EXCLUSIVE(gate);
    open = gate->open_first;
    if (open != NULL) {
        gate->open_first = open->next;
        if (gate->open_first == NULL)
            gate->open_last = NULL;
    }
    HF_END_EXCLUSIVE();
    if (open == NULL)
        return false;
    hf_pass_copy(pass, &open->pass);
    PyMem_Free(open);
    return true;
}

/* Those of the process that forked are not this one's to leave. */
bool
hf_entry_take_oldest(GateObject *gate, hf_pass *pass)
{
    while (take_first(gate, pass)) {
        if (pass->fork_epoch == hf_fork_epoch)
            return true;
        hf_gate_drop(gate, pass, true);
    }
    return false;
}

/* The gate dies: so do the entries nobody closed. */
void
hf_entries_forget(GateObject *gate)
{
    hf_pass pass;
    while (hf_entry_take_oldest(gate, &pass))
        hf_gate_drop(gate, &pass, true);
}
