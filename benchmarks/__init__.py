"""Measured times against the budgets; `python -m benchmarks` prints them."""
