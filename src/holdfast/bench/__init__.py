"""The ``bench`` command: what a guarded call costs, measured on this machine."""
