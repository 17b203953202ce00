"""Recurrent weights of large networks as generation reads them."""
