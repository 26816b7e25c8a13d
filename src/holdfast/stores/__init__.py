"""Where figures of policies are kept: this process, and the files of workers that share them.

``figures`` is what there is to count, ``ledger`` this process, ``files`` the directory named by
``HOLDFAST_DIR``, ``workers`` the other processes that have files there.
"""
