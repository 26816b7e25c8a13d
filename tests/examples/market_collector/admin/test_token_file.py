"""The token of the admin server is in a file that only its owner reads."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

import holdfast as hf
from examples.market_collector.token_file import read_token

TOKEN = "a-token-of-more-than-16"


@pytest.fixture
def file(tmp_path):
    """Return a file with a token, which may be read."""
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


def refused(path, why):
    with pytest.raises(hf.ConfigError, match=why) as caught:
        read_token(path)
    assert f"token_file: got {str(path)[:60]}" in str(caught.value).replace("'", "")
    assert TOKEN not in str(caught.value)


def test_the_token_is_the_line_in_the_file(file):
    assert read_token(file) == TOKEN.encode()
    file.write_text(TOKEN)
    assert read_token(file) == TOKEN.encode()


def test_a_file_that_is_missing_is_made_for_its_owner_alone(tmp_path):  # SE-03
    path = tmp_path / "folder" / "token"
    before = os.umask(0)
    try:
        token = read_token(path)
    finally:
        os.umask(before)
    assert len(token) == 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert read_token(path) == token
    assert list(path.parent.iterdir()) == [path]


def test_two_files_have_two_tokens(tmp_path):
    assert read_token(tmp_path / "a") != read_token(tmp_path / "b")


def test_those_who_make_it_at_the_same_time_have_the_same_token(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(read_token, [tmp_path / "token"] * 64))
    assert len(set(tokens)) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
def test_a_file_that_others_may_use_is_refused(file, mode):  # SE-03
    file.chmod(mode)
    refused(file, f"mode 0600, not {mode:04o}: chmod 600")


def test_a_file_of_another_user_is_refused(file, require_real):
    if os.geteuid() != 0:
        require_real("only root can give files away")
    os.chown(file, 12_345, -1)
    refused(file, "a file of the user that runs this process")


def test_a_link_is_refused(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    refused(link, "no link")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    refused(dangling, "no link")
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_ordinary_file_is_refused_and_nobody_waits_for_it(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    refused(fifo, "an ordinary file")
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    refused(folder, "an ordinary file")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        refused(tmp_path / "socket", "a file that can be read")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"short", b"x" * 15, b"x" * 513, b"x" * 100_000, b"\0" * 32),
        *(b"two words of the token", b"two\nlines-of-the-token", b"tab\tin-the-token-x"),
        "schlüssel-mit-umlaut".encode(),
    ],
)
def test_a_file_without_a_token_is_refused(file, content):
    file.write_bytes(content)
    refused(file, "16 to 512 visible ASCII characters in one line")


def test_a_place_where_it_cannot_be_made_is_refused(file, tmp_path):
    refused(file / "token", "a file that can be")
    refused(tmp_path / ("x" * 300), "a file that can be")
