"""The learning goals of notebook 03, as its first cell has them."""

DERIVE = "derive the DPO loss, and say why the partition function is gone"
GRADIENT = "write its gradient by hand, and say how large it is in which space"
OPTIMUM = "say when its minimum is the optimum of the RLHF objective, and when not"
