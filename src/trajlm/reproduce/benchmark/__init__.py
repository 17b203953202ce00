"""Public systems, learned from one stretch and judged on another."""
