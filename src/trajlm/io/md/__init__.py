"""Molecular dynamics through mdtraj: features from trajectories, and structures for states."""
