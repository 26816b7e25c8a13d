/*
 * Rejected, as rejected.c (the object) and rejected_classes.c (its classes) share it.
 */
#ifndef HF_REJECTED_H
#define HF_REJECTED_H

#include "hfpy.h"

typedef struct {
    PyBaseExceptionObject base;
    PyObject *policy; /* None after unpickling */
    PyObject *name;
    PyObject *reason;
    double retry_after; /* seconds; NaN: unknown */
} RejectedObject;

extern PyType_Spec hf_rejected_spec;
void hf_rejected_dealloc(PyObject *op);
int hf_rejected_traverse(PyObject *op, visitproc visit, void *arg);
int hf_rejected_clear(PyObject *op);
int hf_rejected_words_ready(void);

#endif /* HF_REJECTED_H */
