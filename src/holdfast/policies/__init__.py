"""What each policy decides, its settings and their validation; one folder a policy.

Policies never sleep, await, log or read the time but through their clock: ``waiting`` does that.
"""
