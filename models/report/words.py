"""The fixed sentences of the report; no figure stands in them that is not a definition."""

WRITTEN = """Written by the commands below; every figure, picture and verdict is computed from
the rows of their results."""

JUDGED = """The worst dataset seed counts. Movement is the mean over a cell, in spans of all MVs;
an offset is the largest of any episode and CV, in its unit, over the episodes whose setpoint the
plant can hold with inputs inside their ranges."""

SCORES = """Score of the dataset seed that did worst, in brackets its 95 % bootstrap interval
over starts. 0 is the median of the published PI tunings, 100 the optimum of a perfect model. A
name with a data variant in brackets is the same method trained on those data. Best lowest
scenario first."""

TRENDS = """First start, lowest dataset seed; true values without noise, the hard limit in red.
Suite """

NO_TRENDS = (
    """The cache holds none of the episodes; evaluate again with this cache to have their trends."""
)

PARETO = """The grey line joins what nothing beats in both. The axis of the score is logarithmic
in what it lacks of 100; hollow marks belong to controllers whose trends are not drawn."""

OFFSETS = """Mean over the episodes whose setpoint the plant can hold, all dataset seeds; the
whisker ends at the largest. Where there is no bar, the offset is smaller than the axis, or no
such episode was run."""

POLICY = """The same correction with its policy, with the policy removed (tied to the move in
force), and with uniform random increments in its place. Where the three agree, the result is the
convex correction's and does not depend on the policy. The distance is the median over an episode
of |u0 - pi(s)|, the larger of the MVs, as a share of half their span."""

SCORE = """Score of a cell = 100 (sum R - sum R_PI) / (sum R\\* - sum R_PI) over its starts.
R\\*: the optimum with the plant's true parameters. R_PI: the published PI tuning whose sum is
the lower median of the cell. Both are computed on the very starts, parameters, actuators and
override that are scored."""

FIGURES = """Movement is the sum of |move| / span over an episode, of all MVs. CPU time is that
of the decision alone, on the machine that ran the episodes."""
