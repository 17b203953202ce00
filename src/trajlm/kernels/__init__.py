"""The fast loops, compiled by numba and kept on disk; imported by the functions that run them."""
