"""Errors of requests, as real servers cause them."""

import pytest

import holdfast as hf
from holdfast.categories import Category, classify
from tests.categories.http_failures import TIMEOUT, each_failure
from tests.categories.libraries import real_library
from tests.categories.servers import Server, answer, silence

requests = real_library("requests")


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


@each_failure
def test_an_error_has_the_category_of_its_failure(session, fails_at, place, category):  # ER-04
    def get(url):
        session.get(url, timeout=TIMEOUT).raise_for_status()

    assert classify(fails_at(place, get)) is category


def test_an_adapter_that_gives_up_on_statuses_is_transient(session):
    adapter = requests.adapters.HTTPAdapter(
        max_retries=requests.adapters.Retry(1, status_forcelist=[503], backoff_factor=0)
    )
    session.mount("http://", adapter)
    with Server(answer(503)) as server, pytest.raises(requests.exceptions.RetryError) as raised:
        session.get(server.url)
    assert classify(raised.value) is Category.TRANSIENT


def test_a_malformed_request_is_permanent_and_a_malformed_response_is_logic(session):
    with pytest.raises(requests.exceptions.MissingSchema) as raised:
        session.get("shop.example")
    assert classify(raised.value) is Category.PERMANENT
    with Server(answer(200, b"{")) as server:
        response = session.get(server.url)
    with pytest.raises(requests.exceptions.JSONDecodeError) as raised:
        response.json()
    assert classify(raised.value) is Category.LOGIC


def test_a_response_and_its_error_request_a_delay(session):
    with Server(answer(429, Retry_After="7")) as server:
        response = session.get(server.url)
    with pytest.raises(requests.HTTPError) as raised:
        response.raise_for_status()
    assert hf.retry_after(response) == hf.retry_after(raised.value) == 7.0


def test_a_proxy_that_is_not_there_is_transient(session):
    with Server(silence) as gone:
        pass
    with pytest.raises(requests.exceptions.ProxyError) as raised:
        session.get("http://shop.example/", proxies={"http": gone.url})
    assert classify(raised.value) is Category.TRANSIENT
