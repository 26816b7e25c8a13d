/*
 * How the kernels are compiled inside a Python extension. Included before any kernel header:
 * first in hfpy.h for the gate, first in each .pxd for the bindings.
 *
 * With the GIL, only the thread that holds it runs a kernel, so each read-modify-write may be
 * a plain load and store (see hf_atomic.h). On a free-threaded build they are real atomics,
 * and what every call counts is striped (hf_stripe.h).
 */
#ifndef HF_BUILD_H
#define HF_BUILD_H

#include <Python.h>

#ifndef Py_GIL_DISABLED
#define HF_SERIALIZED 1
#else
#define HF_STRIPED 1
#endif

#endif /* HF_BUILD_H */
