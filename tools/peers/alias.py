"""Have ``import tenacity`` give ``holdfast.compat.tenacity``.

A plugin of pytest for the libraries that the variable ``HOLDFAST_PEERS`` names, loaded by
``-p peers.alias`` before any test is imported. A library and its submodules are one object under
both names, as its own modules expect of each other.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

FACES = "holdfast.compat."


class Alias(MetaPathFinder, Loader):
    """Finds modules of the named libraries among the faces."""

    def __init__(self, libraries: tuple[str, ...]) -> None:
        self._libraries = libraries
        self._own: dict[str, tuple[ModuleSpec | None, Any]] = {}

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Return a spec for what has a face; None leaves it to the other finders."""
        return ModuleSpec(name, self) if name.partition(".")[0] in self._libraries else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the face itself: the import system must not make another one."""
        try:
            module = import_module(FACES + spec.name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not missing.name.startswith(FACES):
                raise
            library = spec.name.partition(".")[0]
            raise ModuleNotFoundError(
                f"the face of {library} has no module {spec.name!r}", name=spec.name
            ) from None
        self._own[spec.name] = module.__spec__, getattr(module, "__loader__", None)
        self._follow(spec.name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the face its own spec back, which the import system has replaced by the alias."""
        alias = module.__spec__.name if module.__spec__ else ""
        module.__spec__, module.__loader__ = self._own.pop(alias)

    def _follow(self, name: str) -> None:
        """Alias what the face has imported of its own submodules.

        Found anew, each would become an attribute of its package, in place of what the package
        has there: ``tenacity.retry`` is a function and a module.
        """
        below = f"{FACES}{name}."
        for face, module in list(sys.modules.items()):
            if face.startswith(below):
                sys.modules.setdefault(face.removeprefix(FACES), module)


def install(*libraries: str) -> None:
    """Alias the libraries from here on; those imported before are forgotten."""
    for name in [name for name in sys.modules if name.partition(".")[0] in libraries]:
        del sys.modules[name]
    sys.meta_path.insert(0, Alias(libraries))


install(*os.environ.get("HOLDFAST_PEERS", "").split())
for move in os.environ.get("HOLDFAST_PEERS_MOVED", "").split():
    # A module that a suite still imports by a name that later versions of its tools have changed.
    old, _, new = move.partition("=")
    sys.modules.setdefault(old, import_module(new))


# ---- what pytest asks of a plugin ----


def pytest_runtest_logreport(report: Any) -> None:
    """Note how each test has ended, a line each: the outcome and the name of the test."""
    if report.when == "call" or report.outcome != "passed":
        with open(os.environ["HOLDFAST_PEERS_REPORT"], "a", encoding="utf-8") as file:
            file.write(f"{report.outcome} {report.nodeid}\n")


def pytest_sessionfinish() -> None:
    """Make sure that the tests have met faces: against the originals they prove nothing."""
    faces = os.path.join("holdfast", "compat")
    for library in os.environ["HOLDFAST_PEERS"].split():
        module = sys.modules.get(library)
        if module is not None and faces not in str(module.__file__):
            raise AssertionError(f"the tests did not run against the face of {library}: {module}")
