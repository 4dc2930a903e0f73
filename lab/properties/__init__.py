"""The three properties as definitions that code computes, and the audit that comes first."""

from lab.properties.audit import Audit, Check, audit
from lab.properties.curves import crossing, turning_point
from lab.properties.findings import Finding, Properties, Thresholds
from lab.properties.measuring import by_seed, measure, verdicts
from lab.properties.summary import summary

__all__ = [
    "Audit",
    "Check",
    "Finding",
    "Properties",
    "Thresholds",
    "audit",
    "by_seed",
    "crossing",
    "measure",
    "summary",
    "turning_point",
    "verdicts",
]
