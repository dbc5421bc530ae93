"""Regulatory pilots fly side by side and bring home what each brings home alone."""

import dataclasses

import numpy as np
import pytest

from models.evaluation.campaign import Campaign, Job, groups
from models.evaluation.episode import fly, fly_together
from models.evaluation.metrics import measures
from models.evaluation.pilot import EvaluationError
from models.evaluation.suites import cases_of
from plant_sim.regulatory import PiTuning
from plant_sim.yardstick.pilots import PiPilot, published, robust

HOT = PiPilot(name="hot", tuning=PiTuning(kp=(0.0, 0.0), ki=(0.0, 0.0), bias=(2.5, 350.0)))
"""Both inputs full open: override at once, and in the plant with mismatch the interlock."""


class Quiet:
    """Nobody looks at the progress."""

    def stage(self, name, total):
        pass

    def done(self, steps, losses):
        pass


class Holds:
    """A pilot that holds its inputs: not regulatory."""

    name = "holds"
    digest = "holds"

    def reset_options(self):
        return {}

    def begin(self, _env, _seen, info):
        self.held = info["actual"]

    def decide(self, _seen, _info):
        return self.held


@pytest.mark.parametrize("suite", ["nominal", "both", "setpoints", "industrial"])
def test_side_by_side_has_the_bits_of_one_by_one(setting, recipe, suite):
    flights = [(pilot, seed) for seed in (5, 907) for pilot in (*published(3, seed=1), robust())]
    flights.append((HOT, 5))
    for case in cases_of(recipe, [suite]):
        for (pilot, seed), trace in zip(flights, fly_together(flights, setting, case), strict=True):
            alone = fly(pilot, setting, case, seed)
            for field in dataclasses.fields(alone):
                if field.name not in {"cpu_s", "noted"}:
                    mine, other = getattr(trace, field.name), getattr(alone, field.name)
                    assert np.array_equal(mine, other), field.name
            found, wanted = measures(trace, setting), measures(alone, setting)
            assert found | {"cpu_us_per_move": 0.0} == wanted | {"cpu_us_per_move": 0.0}


def test_an_episode_goes_on_after_a_trip(setting, recipe):
    """The error that a trip costs is part of the return."""
    case = next(c for c in cases_of(recipe, ["nominal"]) if c.scenario == "startup")
    options = {"override_on_K": 400.0}
    hot = dataclasses.make_dataclass("Hot", [], bases=(PiPilot,), frozen=True)(
        name="hot", tuning=HOT.tuning
    )
    type(hot).reset_options = lambda self: {"tuning": self.tuning, **options}
    long = dataclasses.replace(setting, hours=12.0)
    (trace,) = fly_together([(hot, 5)], long, case)
    assert trace.tripped
    assert np.array_equal(trace.cv, fly(hot, long, case, 5).cv)
    assert (trace.reward[-3:] < 0.0).all()


def jobs(pilots, case, seeds, **kind):
    return [Job(pilots=pilots, case=case, start_seed=seed, **kind) for seed in seeds]


def test_groups_hold_regulatory_jobs_of_one_case_and_nothing_else(recipe):
    first, second, _ = cases_of(recipe, ["nominal"])
    many = tuple(published(120, seed=1))
    wanted = [
        *jobs(many, first, (1, 2, 3), only_returns=True),
        *jobs((robust(),), second, (1,)),
        *jobs((Holds(),), second, (1, 2)),
        *jobs((robust(), Holds()), second, (3,), only_returns=True),
    ]
    named = {str(at): job for at, job in enumerate(wanted)}
    made = groups(named, side_by_side=True)
    assert [list(group) for group in made] == [["0", "1"], ["2"], ["3"], ["4"], ["5"], ["6"]]
    assert groups(named, side_by_side=False) == [{key: job} for key, job in named.items()]


def test_a_campaign_gives_every_job_its_own_result(setting, grade_up, tmp_path):
    campaign = Campaign(setting, tmp_path, jobs=1, progress=Quiet())
    few = tuple(published(3, seed=1))
    wanted = [
        *jobs(few, grade_up, (5, 907), only_returns=True),
        *jobs((Holds(),), grade_up, (5,)),
        *jobs((robust(),), grade_up, (5, 907)),
    ]
    rows = campaign.run("all", wanted)
    assert (campaign.computed, campaign.reused) == (5, 0)
    for row, job in zip(rows, wanted, strict=True):
        alone = [float(fly(p, setting, grade_up, job.start_seed).reward.sum()) for p in job.pilots]
        assert (row if job.only_returns else [row["return"]]) == alone
    assert campaign.run("again", wanted) == rows
    assert (campaign.computed, campaign.reused) == (5, 5)


def test_a_batch_that_cannot_be_run_is_named(setting, grade_up, tmp_path):
    class Wrong(PiPilot):
        def reset_options(self):
            return {"tunning": self.tuning}

    campaign = Campaign(setting, tmp_path, jobs=1, progress=Quiet())
    wrong = Wrong(name="wrong", tuning=HOT.tuning)
    with pytest.raises(EvaluationError, match="wrong, side by side, suite nominal, grade_up"):
        campaign.run("all", jobs((wrong,), grade_up, (5,)))
