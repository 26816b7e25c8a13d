"""Certificates that no client trusts."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.categories.libraries import real_library


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 by an authority that was made for this test."""
    trustme = real_library("trustme")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def trusts() -> ssl.SSLContext:
    """What clients trust; made once, since reading all authorities takes a while."""
    return ssl.create_default_context()


@pytest.fixture
def fails_at(certificate: Path, monkeypatch: pytest.MonkeyPatch):
    """Return what gives the error of a client at a place, and its address."""

    def error_of(place, request: Callable[[str], object]) -> Exception:
        with place(certificate=certificate, monkeypatch=monkeypatch) as url:
            try:
                request(url)
            except Exception as error:
                return error
        raise AssertionError("the request did not fail")

    return error_of
