"""The fast loops, compiled by numba; imported only by the functions that run them.

Compiled code is kept in ``__pycache__``, and renewed when the file of the outermost function
changes: after an edit to a room that others here import, clear ``kernels/__pycache__``.
"""
