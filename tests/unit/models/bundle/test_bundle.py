"""Bundles that must not run are refused, and the message says where and what to do."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.bundle import (
    MANIFEST,
    WEIGHTS,
    BundleError,
    default_bundle,
    load_manifest,
    load_weights,
    sha256,
)
from models.runtime import Runtime


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(default_bundle(), tmp_path / "bundle")


def edit(bundle, change):
    path = bundle / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def rewrite_weights(bundle, change):
    tensors = load_file(bundle / WEIGHTS)
    change(tensors)
    save_file(tensors, bundle / WEIGHTS)
    edit(bundle, lambda m: m["files"].update({WEIGHTS: sha256(bundle / WEIGHTS)}))


def test_the_shipped_bundle_loads():
    assert Runtime.load(default_bundle()).manifest.name == "polymer-cstr"


def test_a_missing_bundle_names_the_file_and_the_way_out(tmp_path):
    with pytest.raises(BundleError, match=r"manifest\.json: no such file.*trimtab-models train"):
        load_manifest(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(colour="red"), "colour"),
        (lambda m: m.pop("cvs"), "cvs"),
        (lambda m: m["cvs"][0].update(weight=-1.0), r"cvs\.0\.weight"),
        (lambda m: m["cvs"][0].update(low=1e9), "must be below"),
        (lambda m: m["cost"].update(proximal=-0.5), r"cost\.proximal"),
        (lambda m: m["cost"].update(move_penalty=0.0), r"cost\.move_penalty"),
        (lambda m: m["cost"]["horizon_weights"].append(1.0), "horizon_weights has 13"),
        (lambda m: m["cost"]["horizon_weights"].__setitem__(0, -1.0), "horizon_weights"),
        (lambda m: m["cost"]["features"][0].update(source="Pressure"), "'Pressure'"),
        (lambda m: m["cost"].update(gain_signs=[[1, 1]]), "gain_signs"),
        (lambda m: m["mvs"][0].update(name="Temperature"), "tag names must differ"),
        (lambda m: m.update(files={}), "is missing"),
        (lambda m: m.update(files={"../weights.safetensors": "0"}), "is missing"),
        (lambda m: m.update(schema_version=2), "schema_version"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(bundle, change, words):
    edit(bundle, change)
    with pytest.raises(BundleError, match=words):
        load_manifest(bundle)


def test_text_that_is_no_json_is_refused(bundle):
    (bundle / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="not valid JSON"):
        load_manifest(bundle)


def test_every_flipped_byte_of_the_weights_is_found(bundle):
    """Against the hash in the manifest, 200 random bits."""
    path = bundle / WEIGHTS
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        at, bit = int(rng.integers(len(whole))), int(rng.integers(8))
        broken = bytearray(whole)
        broken[at] ^= 1 << bit
        path.write_bytes(bytes(broken))
        with pytest.raises(BundleError, match="sha256 differs"):
            load_manifest(bundle)


def test_weights_that_are_not_finite_are_refused(bundle):
    rewrite_weights(bundle, lambda t: t["policy.net.0.bias"].__setitem__(0, np.nan))
    with pytest.raises(BundleError, match=r"policy\.net\.0\.bias.*not finite"):
        load_weights(bundle)


def test_a_gain_of_the_wrong_sign_is_refused(bundle):
    def flip(tensors):
        tensors["cost.0.gains"][3, 0, 1, 0] *= -1.0

    rewrite_weights(bundle, flip)
    with pytest.raises(BundleError, match="sign differs"):
        Runtime.load(bundle)


def test_an_effect_before_its_cause_is_refused(bundle):
    def early(tensors):
        tensors["cost.0.gains"][0, 0, 5, 0] = 1.0

    rewrite_weights(bundle, early)
    with pytest.raises(BundleError, match="before its cause"):
        Runtime.load(bundle)


@pytest.mark.parametrize("name", ["cost.1.gains", "policy.net.1.weight", "cost.0.net.2.bias"])
def test_missing_or_misshapen_tensors_are_refused(bundle, name):
    rewrite_weights(bundle, lambda t: t.update({name: np.ascontiguousarray(t[name][:-1])}))
    with pytest.raises(BundleError, match=r"shape|inputs|outputs"):
        Runtime.load(bundle)
    rewrite_weights(bundle, lambda t: t.pop(name))
    with pytest.raises(BundleError, match="missing"):
        Runtime.load(bundle)
