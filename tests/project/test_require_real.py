"""A missing real part is a skip with its reason, and a failure where it must be there."""

import pytest


def test_a_missing_real_part_is_skipped_with_its_reason(require_real, monkeypatch):
    monkeypatch.delenv("REQUIRE_REAL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no server"):
        require_real("there is no server")


def test_a_missing_real_part_fails_where_real_parts_are_required(require_real, monkeypatch):
    monkeypatch.setenv("REQUIRE_REAL", "1")
    with pytest.raises(pytest.fail.Exception, match="but there is no server"):
        require_real("there is no server")
