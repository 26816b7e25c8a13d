"""``holdfast migrate``: where a code base uses a library that has a face, and what to change.

From the ground up: ``source`` (text and tree of a file), ``names`` (what a name means), ``faces``
(what is known of the faces), ``finding``, ``packages``, ``patch``, ``walking``, ``project`` (what
modules give to one another), ``report``, ``look``, ``command``. Nothing here writes a file, or
imports what it looks at.
"""
