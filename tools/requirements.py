"""Print what pip is to install for an extra of this project, one requirement a line.

pip can install the requirements of a project only together with the project itself. The
Makefile builds the project without isolation, so it needs them first: the build system's,
the run-time ones, and those of the extra named on the command line.

    python tools/requirements.py test
"""

import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def expand(project: dict, extra: str) -> list[str]:
    """Return the requirements of ``extra``, with extras of our own named in it resolved."""
    found = []
    for line in project["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{project['name']}\[([\w,-]+)\]", line)
        if own:
            for name in own[1].split(","):
                found += expand(project, name)
        else:
            found.append(line)
    return found


def main(extra: str) -> None:
    """Print the requirements of building, running and ``extra``."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*data["build-system"]["requires"], *data["project"]["dependencies"]]
    # Both are ordinary programs; PyPI's copies serve a machine that has none.
    wanted += [tool for tool in ("cmake", "ninja") if shutil.which(tool) is None]
    print("\n".join(dict.fromkeys(wanted + expand(data["project"], extra))))


if __name__ == "__main__":
    main(*sys.argv[1:])
