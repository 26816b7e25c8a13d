"""What the machine gives this process, and how much of it is used: memory, processors, disks.

The limits of control groups, such as those of a container, come before those of the machine.
"""
