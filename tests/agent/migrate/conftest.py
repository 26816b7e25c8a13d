"""A code base that is written down in a test, and faces whose differences are known."""

import sys
from types import ModuleType

import pytest

from holdfast.agent.migrate import faces
from holdfast.agent.migrate.look import look_at
from holdfast.compat.differences import Difference


@pytest.fixture
def project(tmp_path):
    """Return a function that writes files, by name, and looks at them all."""

    def write(text="", **files):
        for name, one in {"app.py": text, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one if isinstance(one, bytes) else one.encode())
        return look_at(str(tmp_path))

    return write


@pytest.fixture
def face(monkeypatch):
    """Return a function that puts a face of our own in place of one, with its differences."""

    def put(library, differences=(), **names):
        module = ModuleType(f"holdfast.compat.{library}")
        module.__dict__.update(names)
        known = ModuleType(f"holdfast.compat.differences.{library}")
        known.DIFFERENCES = tuple(Difference(*one) for one in differences)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(sys.modules, known.__name__, known)
        forget()

    def forget():
        for one in vars(faces).values():
            if hasattr(one, "cache_clear"):
                one.cache_clear()

    yield put
    monkeypatch.undo()
    forget()
