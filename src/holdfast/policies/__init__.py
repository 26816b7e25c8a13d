"""What each policy decides, its settings and their validation.

Policies never sleep, await, log or read the time but through their clock: waiting is done by the
driver that ``pipeline`` installs (``base.install_driver``).
"""
