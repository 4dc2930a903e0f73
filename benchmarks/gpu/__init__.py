"""Thousands of exact runs on a GPU, against the limit of its memory and its arithmetic."""
