"""What the papers say, what the lab measured, and the verdict: `python -m lab.claims` writes CLAIMS.md."""
