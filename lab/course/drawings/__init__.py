"""Drawings that only the course needs: data in, a figure and its text alternative out."""
