"""The machine: memory, processors and disks that this process may use, and how full they are.

The limits of control groups, such as those of a container, come before those of the machine.
"""
