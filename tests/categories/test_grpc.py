"""Errors of gRPC, sync and asyncio, as a real server causes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.categories.libraries import real_library

real_library("grpc")


@pytest.fixture(scope="module")
def found(certificate):
    done = subprocess.run(
        [sys.executable, "-m", "tests.categories.grpc_errors", str(certificate)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "GRPC_VERBOSITY": "NONE"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_status_decides(found):  # ER-04, RT-20
    assert {status: found[status] for status in found if status.isupper()} == {
        **dict.fromkeys(
            ["ABORTED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"], "transient"
        ),
        **dict.fromkeys(
            ["ALREADY_EXISTS", "INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE"], "permanent"
        ),
        **dict.fromkeys(["PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"], "permanent"),
        **dict.fromkeys(["DATA_LOSS", "FAILED_PRECONDITION", "INTERNAL"], "logic"),
        **dict.fromkeys(["CANCELLED", "UNKNOWN"]),
    }
    assert found["UNAVAILABLE in a task"] == "transient"
    assert found["UNAUTHENTICATED in a task"] == "permanent"


def test_a_server_that_is_not_there_is_transient_and_an_untrusted_one_permanent(found):
    assert found["refused"] == "transient"
    assert found["untrusted"] == "permanent"


def test_the_trailing_metadata_request_a_delay_or_that_nothing_is_tried_again(found):
    assert found["delay"] == found["delay in a task"] == 1.5
    assert found["no other try"] == "permanent"
