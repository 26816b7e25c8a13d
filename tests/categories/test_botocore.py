"""Errors of botocore, as real servers cause them."""

import pytest

import holdfast as hf
from holdfast.categories import Category, classify
from tests.categories.http_failures import TIMEOUT, of_nobody, of_untrusted
from tests.categories.libraries import real_library
from tests.categories.servers import Server, answer, close, reset, silence

exceptions = real_library("botocore.exceptions")
Config = real_library("botocore.config").Config
Session = real_library("botocore.session").Session


@pytest.fixture(scope="module")
def session():
    session = Session()
    session.set_credentials("key", "secret")
    return session


def error_of(session, url: str) -> Exception:
    config = Config(
        connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1}
    )
    client = session.create_client("sts", "us-east-1", endpoint_url=url, config=config)
    with pytest.raises((exceptions.BotoCoreError, exceptions.ClientError)) as raised:
        client.get_caller_identity()
    client.close()
    return raised.value


@pytest.mark.parametrize("behaviour", [close, reset, silence, answer(500), answer(503)])
def test_a_failure_of_the_server_is_transient(session, behaviour):  # ER-04, RT-20
    with Server(behaviour) as server:
        assert classify(error_of(session, server.url)) is Category.TRANSIENT


def test_a_server_that_is_not_there_is_transient_and_an_untrusted_one_permanent(session, fails_at):
    def call(url):
        raise error_of(session, url)

    assert classify(fails_at(of_nobody, call)) is Category.TRANSIENT
    assert classify(fails_at(of_untrusted, call)) is Category.PERMANENT


@pytest.mark.parametrize(("code", "category"), [
    ("Throttling", Category.TRANSIENT), ("RequestLimitExceeded", Category.TRANSIENT),
    ("InvalidClientTokenId", Category.PERMANENT), ("AccessDenied", Category.PERMANENT),
])  # fmt: skip
def test_the_code_of_an_error_decides_before_its_status(session, code, category):  # ER-04
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>x</Message></Error></ErrorResponse>"
    with Server(answer(400, body.encode(), Retry_After="7")) as server:
        error = error_of(session, server.url)
    assert error.response["Error"]["Code"] == code
    assert classify(error) is category
    assert hf.retry_after(error) == 7.0


def test_missing_credentials_and_a_malformed_request_are_permanent(session):
    assert classify(exceptions.NoCredentialsError()) is Category.PERMANENT
    client = session.create_client("sts", "us-east-1")
    with pytest.raises(exceptions.ParamValidationError) as raised:
        client.assume_role()
    client.close()
    assert classify(raised.value) is Category.PERMANENT
