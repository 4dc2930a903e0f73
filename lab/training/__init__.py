"""Training: every run at once, from parameters to a record."""

from lab.training.recording import NonFiniteError, Record
from lab.training.trainer import check_device, train

__all__ = ["NonFiniteError", "Record", "check_device", "train"]
