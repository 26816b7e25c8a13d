"""Errors of urllib3, as real servers cause them."""

import pytest

import holdfast as hf
from holdfast.categories import Category, classify
from holdfast.categories.http import is_failure
from tests.categories.http_failures import TIMEOUT, each_failure
from tests.categories.libraries import real_library
from tests.categories.servers import Server, answer

urllib3 = real_library("urllib3")


@each_failure
@pytest.mark.parametrize("retries", [False, 0], ids=["bare", "wrapped"])
def test_an_error_has_the_category_of_its_failure(fails_at, place, category, retries):  # ER-04
    with urllib3.PoolManager(timeout=TIMEOUT, retries=retries) as pool:

        def get(url):
            response = pool.request("GET", url)
            assert is_failure(response) is (category is Category.TRANSIENT)
            raise StatusError(response)

        error = fails_at(place, get)
    if not isinstance(error, StatusError):
        assert classify(error) is category


class StatusError(Exception):
    """A response with a status, which urllib3 does not raise for."""


def test_an_exhausted_pool_is_transient():  # RT-20
    with Server(answer(200)) as server:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", server.port, maxsize=1, block=True)
        with pool.request("GET", "/", preload_content=False) as held:
            with pytest.raises(urllib3.exceptions.EmptyPoolError) as raised:
                pool.request("GET", "/", pool_timeout=0.01, retries=False)
            held.drain_conn()
        pool.close()
    assert classify(raised.value) is Category.TRANSIENT


def test_the_first_version_names_no_cause_of_a_failed_connection():
    error = urllib3.exceptions.NewConnectionError(None, "Failed: [Errno 24] Too many open files")
    error.__context__ = OSError(24, "Too many open files")
    assert classify(error) is Category.RESOURCE


def test_a_closed_pool_and_wrong_content_are_logic_and_a_wrong_url_is_permanent():
    errors = urllib3.exceptions
    assert classify(errors.ClosedPoolError(None, "closed")) is Category.LOGIC
    assert classify(errors.DecodeError("x")) is Category.LOGIC
    assert classify(errors.LocationParseError("x")) is Category.PERMANENT


def test_a_response_requests_a_delay():
    with Server(answer(503, Retry_After="7")) as server, urllib3.PoolManager() as pool:
        response = pool.request("GET", server.url, retries=False)
    assert hf.retry_after(response) == 7.0
