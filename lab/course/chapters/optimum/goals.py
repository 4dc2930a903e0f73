"""The learning goals of notebook 01, as its first cell has them."""

STATE = "compute E r and KL, and say what the objective weighs"
DERIVE = "derive the optimum and compute it safely"
READ = "read β as a price and as a temperature"
PARTITION = "say where Z goes"
