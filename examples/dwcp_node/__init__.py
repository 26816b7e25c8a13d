"""A node of a small distributed system, whose components come back by themselves.

``python -m examples.dwcp_node`` starts three nodes, does harm to them and shows how they recover.
"""
