"""The public face changes only on purpose: it is frozen in docs/public-face.txt."""

import difflib
from dataclasses import is_dataclass

from tests.project.face import BEHIND, FACE, face, things


def test_the_public_face_is_the_frozen_one():
    changes = difflib.unified_diff(
        FACE.read_text(encoding="utf-8").splitlines(),
        face().splitlines(),
        "frozen",
        "now",
        lineterm="",
        n=0,
    )
    assert not list(changes), "a change on purpose is written down by `make docs`"


def test_the_face_shows_parameters_fields_and_native_classes():
    lines = face().splitlines()
    assert "    def resize(self, max_concurrent: int) -> None" in lines
    assert "    state: State" in lines
    assert "    def success(self) -> bool" in lines
    assert "class CircuitOpenError(Rejected)" in lines


def test_public_data_cannot_be_changed_and_has_its_fields_only():
    face()  # imports what has data
    data = [cls for _, cls in things()[BEHIND] if is_dataclass(cls)]
    assert len(data) > 10
    assert not [cls for cls in data if not cls.__dataclass_params__.frozen or cls.__dictoffset__]
