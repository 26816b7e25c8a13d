"""Errors of urllib and http.client, as real servers cause them."""

import http.client
import urllib.error
import urllib.request

import pytest

import holdfast as hf
from holdfast.categories import classify
from tests.categories.http_failures import TIMEOUT, each_failure
from tests.categories.servers import Server, answer


@each_failure
def test_an_error_has_the_category_of_its_failure(fails_at, trusts, place, category):  # ER-04
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusts)
    )

    def get(url):
        with opener.open(url, timeout=TIMEOUT) as response:
            response.read()

    error = fails_at(place, get)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    assert classify(error) is category


def test_a_response_and_an_error_request_a_delay():
    with Server(answer(429, Retry_After="7")) as server:
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(server.url)
        raised.value.close()
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/")
        with connection.getresponse() as response:
            pass
        connection.close()
    assert hf.retry_after(response) == hf.retry_after(raised.value) == 7.0
