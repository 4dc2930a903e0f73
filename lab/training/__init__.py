"""Training: every run at once, from parameters to a record."""

from lab.training.planning import Plan, plan, plan_steps
from lab.training.recording import NonFiniteError, Record
from lab.training.stages import Stage
from lab.training.tables import record_tables
from lab.training.trainer import check_device, train

__all__ = [
    "NonFiniteError",
    "Plan",
    "Record",
    "Stage",
    "check_device",
    "plan",
    "plan_steps",
    "record_tables",
    "train",
]
