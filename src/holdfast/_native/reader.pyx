"""Reads a file in which another process keeps its kernels (``ledger``). Nothing in it is trusted."""
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap

from holdfast._native.binding cimport moment
from holdfast._native.figures cimport (
    HF_FIGURES_MOST, figures, machine_now_ns, now_of, numbers, size_of,
)
from holdfast._native.ledger cimport (
    HF_ARENA_LINE, HF_LEDGER_MAGIC, HF_LEDGER_VECTOR, HF_LEDGER_VECTOR_MOST, hf_arena_tag,
    has_lost, hf_ledger_entry, hf_ledger_find, hf_ledger_header, hf_ledger_holds,
    hf_ledger_is_sound, hf_ledger_is_still, hf_ledger_table, hf_ledger_vector, hf_load_acquire,
    hf_load_relaxed, unwatch, watch,
)

from holdfast._native.figures import layout

cdef enum:
    LOOKS = 100  # at a table that changes while it is read; one takes less than a change

cdef size_t LONGEST = 1 << 28


@cython.final
cdef class Reader:
    """Reads another process's file, of which nothing is trusted. Used by one thread at a time.

    Args:
        fd: The file, open for reading; not needed afterwards.
        size: How long it is.

    Raises:
        OSError: It cannot be mapped.
        ValueError: It is too short, or was not written by this very layout.
    """

    cdef unsigned char *base
    cdef void *watched  # the file may be truncated at any moment
    cdef readonly size_t size

    def __cinit__(self, fd, size):
        cdef void *base
        cdef const hf_ledger_header *head
        if not sizeof(hf_ledger_header) <= size <= LONGEST:
            raise ValueError(f"size: got {size!r}, allowed a ledger's")
        base = mmap(NULL, size, PROT_READ, MAP_SHARED, <int> fd, 0)
        if base == MAP_FAILED:
            raise OSError(errno, "cannot map the file")
        self.base = <unsigned char *> base
        self.size = size
        self.watched = watch(base, size)
        head = <const hf_ledger_header *> base
        if head.magic != HF_LEDGER_MAGIC:
            raise ValueError("it is no ledger")
        if head.layout != layout():
            raise ValueError("it is of another version of holdfast")

    def __dealloc__(self):
        unwatch(self.watched)
        if self.base is not NULL:
            munmap(self.base, self.size)

    def pid(self):
        """Return the process that says it writes it."""
        return (<const hf_ledger_header *> self.base).pid

    def entries(self, now_ns=None):
        """Read what is in it at one moment.

        What is in two tables was there all the time between, so each look at a table reads only
        what has joined since the one before: an owner that changes it all the time is caught up with.

        Args:
            now_ns: The time of the machine as of which it is read; None for this moment.

        Returns:
            (role, mode, flags, extra, name, retired, counts, what is true at the moment) of each;
            the name in bytes.

        Raises:
            ValueError: It is damaged, or was truncated.
            TimeoutError: It changed all the time.
        """
        found = self.read(machine_now_ns() if now_ns is None else moment(now_ns))
        if has_lost(self.watched):
            raise ValueError("it was truncated")
        return found

    cdef list read(self, int64_t now_ns):
        cdef const hf_ledger_header *head = <const hf_ledger_header *> self.base
        cdef uint64_t word
        cdef uint64_t length = 0
        cdef uint64_t known = 0  # the last identity that was read
        cdef hf_ledger_entry *table = NULL
        cdef list found = []
        for _ in range(LOOKS):
            # Acquire pairs with the release in change().
            word = hf_load_acquire(&head.table)
            if word == 0:
                return []
            table = self.copy_of(word, &length)
            try:
                if not hf_ledger_is_still(head, word):
                    continue
                if table is NULL:
                    raise ValueError("its table is damaged")
                found = self.join(found, known, table, length, now_ns)
                if length > 0:
                    known = table[length - 1].id
            finally:
                PyMem_RawFree(table)
            if hf_ledger_is_still(head, word):
                if any(one is None for _, one in found):
                    raise ValueError("its table is damaged")
                return [one for _, one in found]
        raise TimeoutError("its table changes all the time")

    cdef hf_ledger_entry *copy_of(self, uint64_t word, uint64_t *length) except? NULL:
        """Return a copy of a table, to be freed; NULL where something is wrong with it."""
        cdef const hf_ledger_table *table = hf_ledger_find(self.base, self.size, word, length)
        cdef hf_ledger_entry *copy
        if table is NULL:
            return NULL
        copy = <hf_ledger_entry *> PyMem_RawMalloc(length[0] * sizeof(hf_ledger_entry))
        if copy is NULL:
            raise MemoryError()
        memcpy(copy, table.entry, length[0] * sizeof(hf_ledger_entry))
        return copy

    cdef list join(
        self, list before, uint64_t known, const hf_ledger_entry *table, uint64_t length,
        int64_t now_ns
    ):
        """Return what is known of a table's entries, having read those that are not.

        Args:
            before: (identity, what was read) of the entries of an earlier table.
            known: The identity of its last.
        """
        cdef uint64_t i
        cdef uint64_t last = 0
        cdef Py_ssize_t at = 0
        cdef list found = []
        for i in range(length):
            if table[i].id <= last:
                raise ValueError("its table is damaged")  # they join in order
            last = table[i].id
            if last > known:
                found.append((last, self.one(&table[i], now_ns)))
                continue
            while at < len(before) and before[at][0] < last:
                at += 1
            if at == len(before) or before[at][0] != last:
                raise ValueError("its table is damaged")
            found.append(before[at])
        return found

    cdef object one(self, const hf_ledger_entry *entry, int64_t now_ns):
        cdef uint64_t out[HF_FIGURES_MOST]
        cdef uint64_t n
        cdef size_t counts
        cdef const hf_ledger_vector *vector
        cdef bint retired = True
        if not hf_ledger_is_sound(entry, self.size, size_of(entry.type)):
            return None
        if entry.type == HF_LEDGER_VECTOR:
            vector = <const hf_ledger_vector *> (self.base + entry.at)
            n = vector.length
            if n > HF_LEDGER_VECTOR_MOST or not hf_ledger_holds(
                    self.size, entry.at, (n + 1) * sizeof(uint64_t)):
                return None
            given, state = numbers(vector.number, n), ()
        else:
            retired = hf_load_relaxed(
                &(<const hf_arena_tag *> (self.base + entry.at - HF_ARENA_LINE)).retired) != 0
            counts = figures(entry.type, self.base + entry.at, now_ns, out)
            given, state = numbers(out, counts), numbers(out + counts, now_of(entry.type))
        name = (<const char *> (self.base + entry.name_at))[:entry.name_length]
        return (entry.role, entry.mode, entry.flags, entry.extra, name, retired, given, state)
