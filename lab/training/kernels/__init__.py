"""Tables in one kernel of a GPU: a run's state stays in registers, and only what is recorded is written."""

from lab.training.kernels.launching import launch

__all__ = ["launch"]
