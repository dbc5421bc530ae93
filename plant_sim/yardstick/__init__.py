"""Yardsticks of the benchmark: the plant's own PI, an NMPC and the optimum of a perfect model.

They know this reactor's equations, which no controller under test does. CasADi is needed for the
NMPC and the optimum only, and comes with the `dev` extra.
"""
