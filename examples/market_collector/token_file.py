"""The token of the admin server: read from a file that only its owner can read, or made there.

Owns what such a file may look like. Elsewhere: who has to show the token (``admin``).
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.validation import Problems

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["read_token"]

SHORTEST, LONGEST = 16, 512  # characters


def read_token(path: Path) -> bytes:
    """Return the token in a file; a file that does not exist is made, with a random token.

    Args:
        path: The file. Its mode is 0600, and its owner is the user of this process.

    Raises:
        ConfigError: Others can read the file, it is not a file of this user, or it has no token.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    _make(path)
    return _read(path)


def _make(path: Path) -> None:
    """Make the file, whole; the token of another process that was faster stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The mode is that of the file from its first moment on.
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
            try:
                os.link(draft, path)
            except FileExistsError:
                return
        finally:
            draft.unlink()
    except OSError as error:
        _refuse(path, f"a file that can be made ({error.strerror})")


def _read(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        _refuse(path, f"a file that can be read, and no link ({error.strerror})")
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            _refuse(path, "an ordinary file")
        if about.st_uid != os.geteuid():
            _refuse(path, "a file of the user that runs this process")
        if about.st_mode & 0o077:
            _refuse(path, f"a file with mode 0600, not {about.st_mode & 0o777:04o}: chmod 600")
        token = os.read(fd, LONGEST + 2).removesuffix(b"\n").removesuffix(b"\r")
    finally:
        os.close(fd)
    # What a header cannot carry would lock everybody out, and a short one lets everybody in.
    if not (SHORTEST <= len(token) <= LONGEST and all(33 <= byte <= 126 for byte in token)):
        _refuse(path, f"a file with {SHORTEST} to {LONGEST} visible ASCII characters in one line")
    return token


def _refuse(path: Path, allowed: str) -> NoReturn:
    problems = Problems("AdminServer")
    problems.refuse("token_file", str(path), allowed)
    problems.done()
    raise AssertionError("refused")
