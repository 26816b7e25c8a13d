"""Where kernels stand, the figures of each, and the file in which other processes read them.

By default a kernel stands in memory of its own. Once ``open_own`` has mapped a file, those made
afterwards stand in that file. Not here: directories, names, locks and who is alive (``stores``).
"""
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.errno cimport errno
from libc.string cimport memcpy, memset, strcmp
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_NONE,
    PROT_READ, PROT_WRITE, mmap, munmap,
)

import os

from holdfast._native.binding cimport aligned

cdef enum:
    LOOKS = 100  # at a table that changes while it is read; a change takes far less

# Address space, not memory: the file may grow so far without any kernel moving.
cdef size_t RESERVED = 1 << 28
SUBTRACT = HF_LEDGER_SUBTRACT
cdef tuple NAMES = (
    b"", b"holdfast.breaker", b"holdfast.bucket", b"holdfast.sliding", b"holdfast.bulkhead",
    b"holdfast.histogram", b"holdfast.retry", b"holdfast.timeout", b"holdfast.fallback",
)

cdef hf_arena arena
cdef bint opened = False   # kernels stand in the arena
cdef int own_fd = -1       # its file; -1: memory of this process only
cdef void *kept = NULL     # a copy of it, made before a fork
cdef size_t kept_size = 0
cdef uint64_t serial = 0


# ---- memory ----

cdef void *place(void **block, size_t size) except NULL:
    """Return zeroed memory for a kernel; ``block`` receives what ``unplace`` takes."""
    cdef void *taken
    if opened:
        taken = take(size)
        if taken is not NULL:
            block[0] = taken
            return taken
    return aligned(block, size)


cdef void unplace(void *block) noexcept nogil:
    if opened and hf_arena_has(&arena, block):
        hf_arena_give(&arena, block)
    else:
        PyMem_RawFree(block)


cdef void *take(size_t size) noexcept:
    cdef void *taken = hf_arena_take(&arena, size)
    if taken is NULL and grow(hf_arena_needs(&arena, size)):
        taken = hf_arena_take(&arena, size)
    return taken


cdef bint grow(size_t needed) noexcept:
    """Make the file longer, if it can be; kernels made when it cannot are seen by nobody else."""
    cdef size_t size = arena.size
    while size < needed and size < RESERVED:
        size *= 2
    if size < needed or own_fd < 0:
        return False
    try:
        allocate(own_fd, arena.size, size - arena.size)
    except OSError:
        return False
    if mmap(arena.base + arena.size, size - arena.size, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_FIXED, own_fd, arena.size) == MAP_FAILED:
        return False
    arena.size = size
    return True


def allocate(fd, offset, length):
    """Have the disk hold ``length`` bytes from ``offset``, so that writing them cannot fail.

    Raises:
        OSError: It has no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, length)
    else:
        os.pwrite(fd, bytes(length), offset)


# ---- figures ----

cdef size_t figures(int kind, const void *at, uint64_t *out) noexcept nogil:
    """Read a kernel; return how many of the numbers are counts, which come first."""
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
        return hf_timeout_figures(<const hf_timeout *> at, out)
    return hf_fallback_figures(<const hf_fallback *> at, out)


cdef size_t now_of(int kind) noexcept nogil:
    """How many numbers come after the counts: what is true at the moment."""
    if kind == HF_LEDGER_BULKHEAD:
        return 2
    return kind == HF_LEDGER_BREAKER or kind == HF_LEDGER_RETRY


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


def read(kernel):
    """Return (counts, what is true at the moment) of a kernel: two tuples of numbers."""
    cdef object holder = kernel._capsule()
    cdef int kind = kind_of(holder)
    cdef uint64_t out[HF_FIGURES_MOST]
    cdef size_t counts = figures(kind, PyCapsule_GetPointer(holder, NAMES[kind]), out)
    return numbers(out, counts), numbers(out + counts, now_of(kind))


# ---- this process's file ----

cdef hf_ledger_header *header() noexcept nogil:
    return <hf_ledger_header *> arena.base


def layout():
    """Return a number that differs where the layout of what is read does."""
    cdef uint64_t mixed = 0xcbf29ce484222325
    cdef int kind
    cdef list parts = [1, sizeof(hf_ledger_header), sizeof(hf_ledger_entry), HF_FIGURES_MOST]
    parts += [size_of(kind) for kind in range(HF_LEDGER_TYPES)]
    parts += [HF_BREAKER_COUNTS, HF_HISTOGRAM_COUNTS, HF_RETRY_COUNTS, HF_TIMEOUT_COUNTS]
    for part in parts:
        mixed = (mixed ^ <uint64_t> part) * <uint64_t> 0x100000001b3
    return mixed


def open_own(fd, size):
    """Map a file of ``size`` zeroed bytes; kernels made from here on stand in it.

    Args:
        fd: Open for reading and writing; kept open by the caller for as long as the process lives.
        size: A multiple of the page size.

    Raises:
        OSError: It cannot be mapped.
        RuntimeError: There is one already.
    """
    global opened, own_fd
    cdef void *base
    if opened:
        raise RuntimeError("the process has a ledger already")
    base = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if base == MAP_FAILED:
        raise OSError(errno, "cannot reserve address space")
    if mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, <int> fd, 0) == MAP_FAILED:
        code = errno
        munmap(base, RESERVED)
        raise OSError(code, "cannot map the file")
    hf_arena_init(&arena, base, size, sizeof(hf_ledger_header))
    own_fd = fd
    write_header()
    opened = True


cdef void write_header() noexcept:
    header().magic = HF_LEDGER_MAGIC
    header().layout = layout()
    header().pid = os.getpid()


def used():
    """Return how many bytes of the own file are taken; 0 without one."""
    return arena.used if opened else 0


def size():
    """Return how long the own file is; 0 without one."""
    return arena.size if opened else 0


def is_shared():
    """Return whether kernels stand where others can read them."""
    return opened and own_fd >= 0


def shares(kernel):
    """Return whether others can read this very kernel."""
    cdef object holder = kernel._capsule()
    return is_shared() and hf_arena_has(
        &arena, PyCapsule_GetPointer(holder, PyCapsule_GetName(holder)))


def retire(kernel):
    """Say that a kernel's policy is gone: its counts stay, its state is nobody's."""
    cdef object holder = kernel._capsule()
    cdef void *at = PyCapsule_GetPointer(holder, PyCapsule_GetName(holder))
    if opened and hf_arena_has(&arena, at):
        hf_arena_retire(&arena, at)




cdef uint64_t keep(const void *from_, size_t size) except 0:
    """Copy bytes into the arena."""
    cdef void *taken = take(size)
    if taken is NULL:
        raise MemoryError("the ledger's file has no room")
    memcpy(taken, from_, size)
    return hf_arena_offset(&arena, taken)


cdef void drop(const hf_ledger_entry *entry) noexcept:
    """Give back what belongs to an entry alone: its name, and its vector."""
    hf_arena_give(&arena, arena.base + entry.name_at)
    if entry.type == HF_LEDGER_VECTOR:
        hf_arena_give(&arena, arena.base + entry.at)


cdef int fill(hf_ledger_entry *entry, tuple item) except -1:
    """Fill in an entry for a kernel, or for counts as they are."""
    global serial
    cdef bytes name
    role, mode, flags, extra, name, what = item
    cdef uint64_t packed[HF_LEDGER_VECTOR_MOST + 1]
    cdef object holder
    cdef int i
    memset(entry, 0, sizeof(hf_ledger_entry))
    if isinstance(what, tuple):
        entry.type = HF_LEDGER_VECTOR
        packed[0] = len(what)
        for i in range(len(what)):
            packed[i + 1] = what[i]
        entry.at = keep(packed, (len(what) + 1) * sizeof(uint64_t))
    else:
        holder = what._capsule()
        entry.type = kind_of(holder)
        entry.at = hf_arena_offset(
            &arena, PyCapsule_GetPointer(holder, NAMES[entry.type]))
    try:
        entry.name_at = keep(<const char *> name, len(name) + 1)
    except MemoryError:
        if entry.type == HF_LEDGER_VECTOR:
            hf_arena_give(&arena, arena.base + entry.at)
        raise
    entry.name_length = len(name)
    entry.role, entry.mode, entry.flags, entry.extra = role, mode, flags, extra
    serial += 1
    entry.id = serial
    return 0


def change(gone, come):
    """Put another table in place of the one there is, in one step. One caller at a time.

    Args:
        gone: Identities of the entries that leave: a set.
        come: (role, mode, flags, extra, name, kernel or counts) of those that join, the name in
            UTF-8, the kernel one that is shared, the counts a tuple.

    Returns:
        The identities of those that joined.

    Raises:
        MemoryError: The file has no room; nothing has changed.
    """
    cdef uint64_t word = hf_load_acquire(&header().table)
    cdef uint64_t length = 0
    cdef const hf_ledger_table *old = NULL
    cdef hf_ledger_table *table
    cdef uint64_t i, n = 0
    cdef list identities = []
    cdef list items = list(come)
    if word != 0:
        old = <const hf_ledger_table *> (arena.base + HF_LEDGER_TABLE_OFFSET(word))
        length = old.length
    table = <hf_ledger_table *> take(
        sizeof(uint64_t) + (length + len(items)) * sizeof(hf_ledger_entry))
    if table is NULL:
        raise MemoryError("the ledger's file has no room")
    for i in range(length):
        if old.entry[i].id not in gone:
            table.entry[n] = old.entry[i]
            n += 1
    table.length = n
    try:
        for item in items:
            fill(&table.entry[table.length], item)
            identities.append(table.entry[table.length].id)
            table.length += 1
    except BaseException:
        for i in range(n, table.length):
            drop(&table.entry[i])
        hf_arena_give(&arena, table)
        raise
    # Release pairs with the acquire of whoever reads: it finds the table whole.
    hf_store_release(&header().table, HF_LEDGER_TABLE(
        HF_LEDGER_TABLE_CHANGE(word) + 1, hf_arena_offset(&arena, table)))
    for i in range(length):
        if old.entry[i].id in gone:
            drop(&old.entry[i])
    if old is not NULL:
        hf_arena_give(&arena, <void *> old)
    return identities


# ---- forks: a mapped file is the parent's as well, and each needs its own ----

def _keep_copy():
    """Before a fork: copy the arena, so that the child has it as it was at one moment."""
    global kept, kept_size
    _drop_copy()
    if is_shared():
        kept = PyMem_RawMalloc(arena.used)
        if kept is not NULL:
            kept_size = arena.used
            memcpy(kept, arena.base, kept_size)


def _drop_copy():
    """After a fork: the parent needs no copy."""
    global kept
    PyMem_RawFree(kept)
    kept = NULL


def _leave_parent():
    """In a forked child, before anything else: stand at the same addresses in memory of its own."""
    global own_fd
    if own_fd < 0:
        return
    if kept is NULL:
        _keep_copy()  # forked past Python's hooks: the parent may be writing
    own_fd = -1
    if kept is NULL or mmap(arena.base, arena.size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED:
        raise MemoryError("no memory for what a forked process has of its own")
    memcpy(arena.base, kept, kept_size)
    hf_arena_unlock(&arena)  # whoever held it is in the parent
    _drop_copy()


def move_to(fd):
    """In a forked child: have the kernels stand in another file, at the same addresses.

    Args:
        fd: A file of ``size()`` zeroed bytes, kept open by the caller.

    Raises:
        OSError: It cannot be mapped; nothing has changed.
        MemoryError: There is none for a copy; nothing has changed.
    """
    global own_fd
    cdef size_t taken = arena.used
    cdef void *base
    cdef void *copy = PyMem_RawMalloc(taken)
    if copy is NULL:
        raise MemoryError()
    memcpy(copy, arena.base, taken)
    # A failure of the second mapping would leave nothing there: the first shows that it can be.
    base = mmap(NULL, arena.size, PROT_READ | PROT_WRITE, MAP_SHARED, <int> fd, 0)
    if base == MAP_FAILED:
        PyMem_RawFree(copy)
        raise OSError(errno, "cannot map the file")
    memcpy(base, copy, taken)
    munmap(base, arena.size)
    mmap(arena.base, arena.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, <int> fd, 0)
    PyMem_RawFree(copy)
    own_fd = fd
    write_header()


os.register_at_fork(
    before=_keep_copy, after_in_parent=_drop_copy, after_in_child=_leave_parent)


# ---- other processes' files ----

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
    cdef readonly size_t size

    def __cinit__(self, fd, size):
        cdef void *base
        cdef const hf_ledger_header *head
        if not sizeof(hf_ledger_header) <= size <= RESERVED:
            raise ValueError(f"size: got {size!r}, allowed a ledger's")
        base = mmap(NULL, size, PROT_READ, MAP_SHARED, <int> fd, 0)
        if base == MAP_FAILED:
            raise OSError(errno, "cannot map the file")
        self.base = <unsigned char *> base
        self.size = size
        head = <const hf_ledger_header *> base
        if head.magic != HF_LEDGER_MAGIC:
            raise ValueError("it is no ledger")
        if head.layout != layout():
            raise ValueError("it is of another version of holdfast")

    def __dealloc__(self):
        if self.base is not NULL:
            munmap(self.base, self.size)

    def pid(self):
        """Return the process that says it writes it."""
        return (<const hf_ledger_header *> self.base).pid

    def entries(self):
        """Read what is in it at one moment.

        Returns:
            (role, mode, flags, extra, name, retired, counts, what is true at the moment) of each;
            the name in bytes.

        Raises:
            ValueError: It is damaged.
            TimeoutError: It changed all the time.
        """
        cdef const hf_ledger_header *head = <const hf_ledger_header *> self.base
        cdef uint64_t word
        for _ in range(LOOKS):
            # Acquire pairs with the release in change().
            word = hf_load_acquire(&head.table)
            found = self.entries_of(word) if word != 0 else []
            if hf_load_acquire(&head.table) == word:
                if found is None:
                    raise ValueError("its table is damaged")
                return found
        raise TimeoutError("its table changes all the time")

    cdef object entries_of(self, uint64_t word):
        """Read the entries of a table; None where something is wrong with it."""
        cdef uint64_t length = 0, i
        cdef hf_ledger_entry entry
        cdef const hf_ledger_table *table = hf_ledger_find(self.base, self.size, word, &length)
        cdef list found = []
        if table is NULL:
            return None
        for i in range(length):
            memcpy(&entry, &table.entry[i], sizeof(entry))
            one = self.one(&entry)
            if one is None:
                return None
            found.append(one)
        return found

    cdef object one(self, const hf_ledger_entry *entry):
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
            counts = figures(entry.type, self.base + entry.at, out)
            given, state = numbers(out, counts), numbers(out + counts, now_of(entry.type))
        name = (<const char *> (self.base + entry.name_at))[:entry.name_length]
        return (entry.role, entry.mode, entry.flags, entry.extra, name, retired, given, state)
