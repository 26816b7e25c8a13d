"""What a resource manager costs, by how many resources are registered.

    python -m benchmarks.resources

CPU time of this thread, the least of many rounds. P is what ``functools.partial`` adds to a call,
measured in the same rounds: a shared machine changes both, and the ratio little.
"""

from collections.abc import Callable
from functools import partial
from itertools import repeat
from time import process_time, thread_time

import holdfast as hf

SIZES = (10, 1_000, 20_000)
ROUNDS = 200
PAIRS = 500  # a round
LOOKS = 5


def least(
    work: Callable[[], object], rounds: int, clock: Callable[[], float] = thread_time
) -> float:
    """Return the least seconds of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = clock()
        work()
        best = min(best, clock() - began)
    return best


def empty() -> None:
    """Cost nothing but the call."""


def call(fn: Callable[[], object]) -> None:
    for _ in repeat(None, PAIRS):
        fn()


def pairs(resources: hf.ResourceManager) -> None:
    register, unregister = resources.register, resources.unregister
    for _ in repeat(None, PAIRS):
        register("one more", "file", empty)
        unregister("one more")


def measure(size: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the costs with so many resources registered.

    Returns:
        ``pair``: seconds of a registration and its end; ``ratio``: the same in P; ``idle`` and
        ``leaks``: seconds of a look, for each resource; ``stop``: seconds of the clean-up of each.
    """
    resources = hf.ResourceManager("benchmark", limits={}, max_resources=2 * size)
    for at in range(size):
        resources.register(at, "file", empty).touch()
    bound = partial(empty)
    best = {"pair": float("inf"), "bound": float("inf"), "bare": float("inf")}
    for _ in range(rounds):  # in turn: whatever slows the machine slows all
        best["pair"] = min(best["pair"], least(partial(pairs, resources), 1))
        best["bound"] = min(best["bound"], least(partial(call, bound), 1))
        best["bare"] = min(best["bare"], least(partial(call, empty), 1))
    found = {
        "pair": best["pair"] / PAIRS,
        "ratio": best["pair"] / max(best["bound"] - best["bare"], 1e-9 * PAIRS),
        "idle": least(resources.clean_idle, LOOKS) / size,
        "leaks": least(resources.find_leaks, LOOKS) / size,
    }
    assert resources.count() == size
    found["stop"] = least(partial(resources.stop, 600), 1, process_time) / size
    assert resources.count() == 0
    return found


def main() -> None:
    """Print a line for each size."""
    print("| registered | register and unregister | in P | look, each | leaks, each | stop, each |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        found = measure(size)
        us = {name: f"{1e6 * seconds:.2f} µs" for name, seconds in found.items()}
        print(
            f"| {size:,} | {us['pair']} | {found['ratio']:.0f} | {us['idle']} | {us['leaks']}"
            f" | {us['stop']} |"
        )


if __name__ == "__main__":
    main()
