"""The figures: one file each, named by its message. `python -m figures` draws those that are out of date."""
