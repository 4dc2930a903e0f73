"""The learning goals of notebook 02, as its first cell has them."""

LIKELIHOOD = "write the likelihood of comparisons and climb it"
OPEN = "say which rewards the data fix, and which they leave open"
SEPARABLE = "say when no reward is the best one, and what training does then"
CALIBRATION = "measure whether predicted win rates are right"
