"""How long a thread had no processor, as Linux tells it.

Owns the reading of one file of the system, with the interpreter held: a reading takes a few µs, and to
let the interpreter go takes 5 ms or more if other threads compute.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport strtoll

cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int file, void *into, size_t size, int64_t at)


def read_waits(int file):
    """Return what an open ``schedstat`` of a thread tells, None if it tells nothing.

    The first value is for how many nanoseconds the thread has waited for a processor since it was
    started, the second how often it got one.
    """
    cdef char text[64]
    cdef ssize_t size = pread(file, text, sizeof(text) - 1, 0)
    if size <= 0:
        return None
    text[size] = 0
    cdef char *at = text
    cdef char *end = NULL
    cdef int64_t values[3]
    for i in range(3):  # time on a processor, time spent waiting for one, how often it got one
        values[i] = strtoll(at, &end, 10)
        if end == at:
            return None
        at = end
    return values[1], values[2]
