"""Where kernels stand: by themselves, or in a file in which other processes read them.

By default a kernel stands in memory of its own. Once ``open_own`` has mapped a file, those made
afterwards stand in that file. Elsewhere: directories, names, locks and who is alive (``stores``).
"""
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.errno cimport errno
from libc.string cimport memcpy, memset
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_NONE,
    PROT_READ, PROT_WRITE, mmap, munmap,
)

import os

from holdfast._native.binding cimport aligned
from holdfast._native.figures cimport kernel_at, kind_of

from holdfast._native.figures import layout

cdef extern from "fork_copy.h" nogil:  # it has what is static: no other module may include it
    hf_arena arena "hf_process_arena"
    hf_roster roster "hf_process_roster"
    int own_fd "hf_process_file"  # of the arena; -1: memory of this process only
    bint hf_process_leave()
    void hf_process_moved()
    bint hf_fork_watch()

# Here and not in ledger.pxd, which every binding reads: its handler is to be in one module.
cdef extern from "holdfast/hf_rescue.h" nogil:
    ctypedef struct hf_rescue:
        pass
    bint hf_rescue_install()
    hf_rescue *hf_rescue_watch(void *base, size_t size, const void *copy)
    void hf_rescue_grow(hf_rescue *r, size_t size)
    void hf_rescue_leave(hf_rescue *r)
    void hf_rescue_renew(hf_rescue *r)
    bint hf_rescue_has_lost(const hf_rescue *r)

# Address space, not memory: the file may grow so far without any kernel moving.
cdef size_t RESERVED = 1 << 28
cdef size_t HEADER = 1 << 12  # bytes before the first block
cdef size_t STEP = 1 << 16  # the file grows by this much, or by an eighth if that is more
cdef size_t LEAST_ROOM = 12  # entries of a new table
due_in_child = []  # what holdfast.forks calls in a forked child: the process's as well
of_process = None  # what the process says of itself: kept here, for this module is loaded once
reopen = None  # what opens the own file again where somebody has closed it; returns whether it could
cdef hf_rescue *rescue = NULL  # what watches the arena's file
cdef unsigned char *copies = NULL  # of kernels, at their offsets; they replace what a file has lost
cdef bint opened = False   # kernels stand in the arena
cdef object own_identity = None  # device and inode, by which it is told from what has its number
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


cdef void enlist(hf_member *member, void *kernel, forget_function forget) noexcept:
    """Have a kernel forget its parent in each forked child, until ``strike``, and keep a copy."""
    hf_roster_join(&roster, member, kernel, forget)
    keep_copy(kernel, forget)


cdef void keep_copy(const void *kernel, forget_function forget) noexcept nogil:
    """Keep a copy of a kernel that was initialised or resized, without its calls and counts.

    The copy replaces the kernel if its file is truncated.
    """
    if opened and hf_arena_has(&arena, kernel):
        write_copy(kernel)
        forget(copies + hf_arena_offset(&arena, kernel), 0)


cdef void write_copy(const void *block) noexcept nogil:
    """Copy a block. What is the same already is not written: pages of zeros take no memory."""
    cdef const uint64_t *word = <const uint64_t *> block
    cdef uint64_t *copy = <uint64_t *> (copies + hf_arena_offset(&arena, block))
    cdef size_t i
    for i in range(hf_arena_room(&arena, block) // sizeof(uint64_t)):
        if copy[i] != word[i]:
            copy[i] = word[i]


cdef void strike(hf_member *member) noexcept nogil:
    hf_roster_leave(&roster, member)


cdef void *take(size_t size) except? NULL:
    cdef void *taken = hf_arena_take(&arena, size)
    while taken is NULL and grow(hf_arena_needs(&arena, size)):
        taken = hf_arena_take(&arena, size)
    return taken


cdef bint grow(size_t needed) except -1:
    """Make the file longer, if it can be; kernels made when it cannot are seen by nobody else.

    While the disk is asked for room other threads run, and may make it longer as well: who comes
    second has nothing to map, and measures again.
    """
    cdef size_t before, size
    while (before := arena.size) < needed:
        size = before
        while size < needed and size < RESERVED:
            size = min(size + max(STEP, size // 8 // STEP * STEP), RESERVED)
        try:
            if size < needed or is_lost() or not (is_own(own_fd) or (reopen is not None and reopen())):
                return False
            allocate(own_fd, before, size - before)
        except OSError:
            return False
        if not map_more(before, size):
            return False
    return True


cdef bint map_more(size_t before, size_t size) noexcept:
    """Map what the file has from ``before`` on, unless somebody has mapped there meanwhile."""
    cdef bint mapped = True
    hf_arena_lock(&arena)
    if arena.size == before:
        mapped = mmap(arena.base + before, size - before, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_FIXED, own_fd, before) != MAP_FAILED
        if mapped:
            arena.size = size
            hf_rescue_grow(rescue, size)
    hf_arena_unlock(&arena)
    return mapped


def allocate(fd, offset, length):
    """Have the disk hold ``length`` bytes from ``offset``, so that writing them cannot fail.

    Raises:
        OSError: It has no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, length)
    else:
        os.pwrite(fd, bytes(length), offset)


# ---- this process's file ----

cdef hf_ledger_header *header() noexcept nogil:
    return <hf_ledger_header *> arena.base


def open_own(fd, size):
    """Map a file of ``size`` zeroed bytes; kernels made from here on stand in it.

    Args:
        fd: Open for reading and writing; kept open by the caller for as long as the process lives.
        size: A multiple of the page size.

    Raises:
        OSError: It cannot be mapped.
        RuntimeError: There is one already.
    """
    global opened, rescue, copies
    cdef void *base
    cdef void *other
    if is_shared():
        raise RuntimeError("the process has a ledger already")
    if opened:  # it had one, and had to leave it
        move_to(fd)
        return
    base = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if base == MAP_FAILED:
        raise OSError(errno, "cannot reserve address space")
    other = mmap(NULL, RESERVED, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if other == MAP_FAILED or not hf_rescue_install() or mmap(
            base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, <int> fd, 0) == MAP_FAILED:
        code = errno
        munmap(base, RESERVED)
        if other != MAP_FAILED:
            munmap(other, RESERVED)
        raise OSError(code, "cannot map the file")
    # No kernel is in the first page: what is left of a page of a truncated file is zeros, and no
    # signal tells of it.
    hf_arena_init(&arena, base, size, HEADER)
    copies = <unsigned char *> other
    rescue = hf_rescue_watch(base, size, copies)
    opened = True
    begin(fd)


cdef int begin(fd) except -1:
    """Take a file that was mapped for this process's own."""
    global own_fd, own_identity
    own_identity = identity(fd)
    own_fd = fd
    header().magic = HF_LEDGER_MAGIC
    header().layout = layout()
    header().pid = os.getpid()
    return 0


cdef object identity(fd):
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def is_own(fd):
    """Return whether a descriptor is the own file's, and not somebody else's by now."""
    if fd < 0 or own_identity is None:
        return False
    try:
        return identity(fd) == own_identity
    except OSError:  # it was closed
        return False


def grow_through(fd):
    """Grow the own file through another descriptor, the first having been closed by somebody.

    Raises:
        ValueError: It is another file's.
    """
    global own_fd
    if not is_own(fd):
        raise ValueError(f"fd: got {fd!r}, allowed one of the own file")
    own_fd = fd


def is_lost():
    """Return whether the own file was removed or truncated by somebody."""
    if not is_shared():
        return False
    if is_damaged():
        return True
    try:
        found = os.fstat(own_fd)
    except OSError:  # it was closed
        return False
    return (found.st_dev, found.st_ino) == own_identity and (
        found.st_nlink == 0 or found.st_size < arena.size)


def is_damaged():
    """Return whether pages of the own file were replaced: its table is not what it was."""
    return hf_rescue_has_lost(rescue)


def empty_table():
    """Have no entries, whatever there is in place of the table that a truncated file has lost."""
    hf_store_release(&header().table, 0)


cdef void *watch(void *base, size_t size) except NULL:
    """Have pages of zeros replace what a mapped file has no longer; ``unwatch`` takes the result."""
    if not hf_rescue_install():
        raise OSError(errno, "cannot handle SIGBUS")
    cdef hf_rescue *watched = hf_rescue_watch(base, size, NULL)
    if watched is NULL:
        raise MemoryError()
    return watched


cdef void unwatch(void *watched) noexcept nogil:
    hf_rescue_leave(<hf_rescue *> watched)


cdef bint has_lost(const void *watched) noexcept nogil:
    """Return whether a page was replaced."""
    return hf_rescue_has_lost(<const hf_rescue *> watched)


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
        &arena, kernel_at(holder))


def retire(kernel):
    """Say that a kernel's policy is gone: its counts stay, its state is nobody's."""
    cdef object holder = kernel._capsule()
    cdef void *at = kernel_at(holder)
    if opened and hf_arena_has(&arena, at):
        hf_arena_retire(&arena, at)


@cython.final
cdef class Deaths:
    """What the collector calls with the entry of a policy that is gone; it is kept in ``entries``.

    Native code, amid which no signal handler can raise: an entry that was missed would stay.
    """

    cdef object append
    cdef bint closed

    def __init__(self, entries):
        self.append = entries.append

    def __call__(self, entry):
        if self.closed:
            return
        self.append(entry)
        for _, kernel, _ in entry.parts:
            retire(kernel)

    def close(self):
        """At the end of the process: what dies from here on has not been given up, it ends."""
        self.closed = True


cdef uint64_t keep(const void *from_, size_t size) except 0:
    """Copy bytes into the arena."""
    cdef void *taken = take(size)
    if taken is NULL:
        raise MemoryError("the ledger's file has no room")
    memcpy(taken, from_, size)
    return hf_arena_offset(&arena, taken)


cdef void drop(const hf_ledger_entry *entry) noexcept nogil:
    """Give back what belongs to an entry alone: its name, and its vector."""
    hf_arena_give(&arena, arena.base + entry.name_at)
    if entry.type == HF_LEDGER_VECTOR:
        hf_arena_give(&arena, arena.base + entry.at)


cdef int fill(hf_ledger_entry *entry, tuple item) except -1:
    """Fill in an entry for a kernel, or for counts as they are, but for its identity."""
    cdef bytes name
    role, mode, flags, extra, name, what = item
    cdef uint64_t packed[HF_LEDGER_VECTOR_MOST + 1]
    cdef object holder
    cdef int i
    memset(entry, 0, sizeof(hf_ledger_entry))
    if isinstance(what, tuple):
        if len(what) > HF_LEDGER_VECTOR_MOST:
            raise ValueError(f"counts: got {len(what)}, allowed at most {HF_LEDGER_VECTOR_MOST}")
        entry.type = HF_LEDGER_VECTOR
        packed[0] = len(what)
        for i in range(len(what)):
            packed[i + 1] = what[i]
        entry.at = keep(packed, (len(what) + 1) * sizeof(uint64_t))
    else:
        holder = what._capsule()
        entry.type = kind_of(holder)
        entry.at = hf_arena_offset(
            &arena, kernel_at(holder))
    try:
        entry.name_at = keep(<const char *> name, len(name) + 1)
    except BaseException:
        if entry.type == HF_LEDGER_VECTOR:
            hf_arena_give(&arena, arena.base + entry.at)
        raise
    entry.name_length = len(name)
    entry.role, entry.mode, entry.flags, entry.extra = role, mode, flags, extra
    return 0


cdef hf_ledger_table *table() noexcept nogil:
    """The table that others read; NULL before there is one."""
    cdef uint64_t word = hf_load_acquire(&header().table)
    return <hf_ledger_table *> (
        arena.base + HF_LEDGER_TABLE_OFFSET(word)) if word != 0 else NULL


cdef hf_ledger_table *room_for(size_t n, const uint64_t *gone, size_t leaving) except? NULL:
    """Return a block for the table that there is to be; NULL: the one there is has room.

    A new one has room for half as many again, so that what is copied is in all no more than a
    few times what joins.
    """
    cdef hf_ledger_table *old
    cdef hf_ledger_table *taken = NULL
    cdef size_t wanted
    while True:
        # Where the file grows other Python code runs, and may change the table.
        old = table()
        wanted = n + (hf_ledger_copy(NULL, old, gone, leaving) if old is not NULL else 0)
        if leaving == 0 and old is not NULL and wanted <= hf_ledger_room(
                hf_arena_room(&arena, old)):
            if taken is not NULL:
                hf_arena_give(&arena, taken)
            return NULL
        if taken is not NULL:
            if wanted <= hf_ledger_room(hf_arena_room(&arena, taken)):
                return taken
            hf_arena_give(&arena, taken)
        if wanted > HF_LEDGER_ENTRIES_MOST:
            raise MemoryError("the ledger's table is full")
        taken = <hf_ledger_table *> take(hf_ledger_bytes(max(LEAST_ROOM, wanted + wanted // 2)))
        if taken is NULL:
            raise MemoryError("the ledger's file has no room")


cdef uint64_t publish(
    hf_ledger_table *fresh, hf_ledger_entry *come, size_t n, const uint64_t *gone, size_t leaving
) noexcept nogil:
    """Let entries join and leave at once; return the identity of the first that joined.

    No Python code runs here: neither a finaliser nor a signal handler finds a change half made.
    """
    global serial
    cdef uint64_t word = hf_load_acquire(&header().table)
    cdef hf_ledger_table *old = table()
    cdef uint64_t first = serial + 1
    cdef uint64_t i
    for i in range(n):
        come[i].id = first + i
    serial += n
    if fresh is NULL:
        hf_ledger_append(old, come, n)
        return first
    if old is not NULL:
        hf_ledger_copy(fresh, old, gone, leaving)
    hf_ledger_append(fresh, come, n)
    # Release pairs with the acquire of whoever reads: it finds the table whole.
    hf_store_release(&header().table, HF_LEDGER_TABLE(
        HF_LEDGER_TABLE_CHANGE(word) + 1, hf_arena_offset(&arena, fresh)))
    if old is not NULL:
        drop_gone(old, gone, leaving)
        hf_arena_give(&arena, old)
    return first


cdef void drop_gone(const hf_ledger_table *old, const uint64_t *gone, size_t leaving) noexcept nogil:
    """Give back what belonged to the entries that have left."""
    cdef uint64_t i
    cdef size_t at = 0
    for i in range(hf_load_relaxed(&old.length)):
        while at < leaving and gone[at] < old.entry[i].id:
            at += 1
        if at < leaving and gone[at] == old.entry[i].id:
            drop(&old.entry[i])


def listed():
    """Return how many entries the table has; 0 without a file."""
    cdef hf_ledger_table *there = table() if is_shared() else NULL
    return hf_load_relaxed(&there.length) if there is not NULL else 0


def change(gone, come):
    """Have entries leave the table and others join it, in one step. One caller at a time.

    Args:
        gone: Identities of the entries that leave; those that have left are ignored.
        come: (role, mode, flags, extra, name, kernel or counts) of those that join, the name in
            UTF-8, the kernel one that is shared, the counts a tuple.

    Returns:
        The identities of those that joined.

    Raises:
        MemoryError: The file has no room; nothing has changed.
        ValueError: There are more counts than a kernel has.
    """
    cdef list items = list(come)
    cdef list identities = sorted(gone)
    cdef size_t n = len(items)
    cdef size_t leaving = len(identities)
    cdef size_t filled = 0
    cdef uint64_t first
    cdef size_t i
    cdef hf_ledger_table *fresh
    cdef hf_ledger_entry *joining = <hf_ledger_entry *> PyMem_RawMalloc(
        n * sizeof(hf_ledger_entry) + leaving * sizeof(uint64_t))
    cdef uint64_t *left = <uint64_t *> (joining + n)
    if joining is NULL:
        raise MemoryError()
    try:
        for i in range(leaving):
            left[i] = identities[i]
        for item in items:
            fill(&joining[filled], item)
            filled += 1
        fresh = room_for(n, left, leaving)
        first = publish(fresh, joining, n, left, leaving)
    except BaseException:
        for i in range(filled):
            drop(&joining[i])
        raise
    finally:
        PyMem_RawFree(joining)
    return list(range(first, first + n))


# ---- forks: a mapped file is the parent's as well, and each needs its own (fork_copy.h) ----

def leave():
    """Stand at the same addresses in memory of this process alone: where a file could not be shared
    after all. A forked child has left it before any other code of it runs (fork_copy.h).

    Raises:
        MemoryError: There is none.
    """
    if not hf_process_leave():
        raise MemoryError("no memory for the state of this process")


def move_to(fd):
    """Have the kernels stand in another file, at the same addresses: after a fork, or a loss.

    Args:
        fd: A file of ``size()`` zeroed bytes, kept open by the caller.

    Raises:
        OSError: It cannot be mapped; nothing has changed.
        MemoryError: There is none for a copy; nothing has changed.
    """
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
    hf_process_moved()
    hf_rescue_renew(rescue)
    PyMem_RawFree(copy)
    begin(fd)


if not hf_fork_watch():
    raise MemoryError()
