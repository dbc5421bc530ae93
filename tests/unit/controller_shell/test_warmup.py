"""The first answers come before the plant is touched, and leave nothing behind."""

import dataclasses

import numpy as np

from controller.warmup import middle, warm_up
from models.bundle import default_bundle
from models.runtime import Runtime


class Counting:
    """A runtime that keeps what it was asked."""

    def __init__(self):
        self.runtime = Runtime.load(default_bundle())
        self.manifest = self.runtime.manifest
        self.asked = []

    def initial_memory(self):
        return self.runtime.initial_memory()

    def advise(self, request, memory):
        self.asked.append((request, memory))
        return self.runtime.advise(request, memory)


def test_the_model_answers_more_than_once_before_it_is_needed():
    model = Counting()
    found = warm_up(model)
    assert len(model.asked) > 2
    assert found.then_s > 0.0
    assert found.first_s > 0.0
    assert all(request.freeze for request, _ in model.asked)
    fresh, used = model.initial_memory(), model.asked[0][1]
    for field in dataclasses.fields(fresh):
        assert np.array_equal(getattr(fresh, field.name), getattr(used, field.name), equal_nan=True)


def test_it_asks_about_the_middle_of_any_plant():
    manifest = Runtime.load(default_bundle()).manifest
    sample = middle(manifest)
    assert sample.cv.tolist() == [(cv.low + cv.high) / 2.0 for cv in manifest.cvs]
    assert len(sample.mv) == len(manifest.mvs)
    assert len(sample.dv) == len(manifest.dvs)
