"""Data beside models: what is measured, and what the numbers say."""
