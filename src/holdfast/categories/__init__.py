"""What kind of failure an error is: transient, permanent, resource or logic.

============  ====================================================  ========================
category      meaning                                               examples
============  ====================================================  ========================
transient     a later call may succeed                              refused and reset
                                                                    connections, timeouts,
                                                                    408, 429, 5xx, deadlocks,
                                                                    exhausted pools, too many
                                                                    connections
permanent     each repetition fails                                 credentials, certificates,
                                                                    4xx, missing objects
resource      memory, disk or file descriptors are used up          MemoryError, ENOSPC, EMFILE
logic         a defect of the program, or damaged data              TypeError, ValueError
============  ====================================================  ========================

An exhausted pool of connections is transient: a place in it becomes free without any action. No
library is imported; the class of an error says which library it belongs to.

>>> from holdfast.categories import Category, classify
>>> classify(TimeoutError()) is Category.TRANSIENT
True
"""

from holdfast.categories.category import Category
from holdfast.categories.classes import classify, of_class
from holdfast.categories.registered import register

__all__ = ["Category", "classify", "register"]

_of_class = of_class  # the native gate asks it, once a class
