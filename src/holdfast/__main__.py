"""``python -m holdfast`` is the ``holdfast`` command."""

from __future__ import annotations

import sys

if sys.argv[1:2] == ["migrate"] and not sys.flags.safe_path:
    del sys.path[0]  # the folder that is looked at is not run, whatever its modules are named

from holdfast.agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
