"""The benchmark: every controller on the same starts, scored from PI to optimum."""
