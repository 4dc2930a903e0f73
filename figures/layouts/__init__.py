"""Layouts that several figures share, one module a family: `from figures.layouts.scenarios import ...`."""
