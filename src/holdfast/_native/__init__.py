"""The native core: Cython bindings, one module per kernel, and the C extension ``gate``.

No algorithm lives here. A binding hands Python numbers to a kernel of ``csrc/holdfast`` and
its answer back; ``gate`` is the call path. Nothing in this package is public.
"""

# First of all, for it says why holdfast cannot be loaded where it cannot.
import holdfast._native.gate  # noqa: F401
