"""The three properties as definitions that code computes, and the audit that comes first."""

from lab.properties.audit import Audit, Check, audit
from lab.properties.curves import crossing, turning_point
from lab.properties.definitions import NAMES, by_step
from lab.properties.findings import Finding, Properties, Thresholds
from lab.properties.horizons import (
    NOT_REACHED,
    Horizon,
    by_seed_at,
    interval_of_those_there,
    progress,
    read_at,
    verdicts_at,
)
from lab.properties.measuring import by_seed, measure, verdicts
from lab.properties.summary import summary

__all__ = [
    "Audit",
    "Check",
    "NAMES",
    "NOT_REACHED",
    "Finding",
    "Horizon",
    "Properties",
    "Thresholds",
    "audit",
    "by_seed",
    "by_seed_at",
    "by_step",
    "crossing",
    "interval_of_those_there",
    "measure",
    "progress",
    "read_at",
    "summary",
    "turning_point",
    "verdicts",
    "verdicts_at",
]
