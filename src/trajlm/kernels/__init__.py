"""The fast loops, compiled by numba; imported only by the functions that run them."""
