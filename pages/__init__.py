"""The site: what it is gathered from, and how it is built. `python -m pages` builds it."""
