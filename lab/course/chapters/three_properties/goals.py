"""The learning goals of notebook 04, as its first cell has them."""

TABLE = "say what a table under DPO can and cannot do, and prove it"
MEASURE = "define the three properties so that a program can find them"
SHARING = "say what shared parameters and the optimiser add, and under which conditions"
