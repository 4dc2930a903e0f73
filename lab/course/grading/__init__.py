"""Grading: submissions are read here, run in processes of their own, and judged here by their outputs.

The modules are imported by name: `child`, which runs in each of those processes, must start quickly.
"""
