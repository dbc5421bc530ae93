"""Kept episodes: found again, never mixed up, and not trusted when damaged."""

import dataclasses

import numpy as np
import pytest

from models.evaluation.cache import Cache, code_digest, key_of, load_trend


def test_what_was_kept_comes_back(tmp_path):
    trend = {"cv": np.array([[1.0, 2.0]]), "hours": np.array([0.0])}
    Cache(tmp_path).save("ab12", {"return": -1.25, "settling_h": None}, trend)
    assert Cache(tmp_path).load("ab12") == {"return": -1.25, "settling_h": None}
    np.testing.assert_array_equal(load_trend(tmp_path, "ab12")["cv"], [[1.0, 2.0]])
    assert load_trend(tmp_path, "ffff") is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_file_counts_as_missing(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.save("ab12", [1.0])
    whole = cache.path("ab12").read_bytes()
    cut = whole[: len(whole) // 2] if damage is None else damage
    cache.path("ab12").write_bytes(cut)
    assert cache.load("ab12") is None
    assert cache.load_trend("ab12") is None


def test_no_draft_is_left_behind(tmp_path):
    Cache(tmp_path).save("ab12", [1.0])
    with pytest.raises(ValueError, match="JSON"):
        Cache(tmp_path).save("ab13", [float("nan")])
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["ab12.npz"]


def test_everything_that_decides_an_episode_is_in_its_key(setting, grade_up):
    longer = dataclasses.replace(setting, hours=7.0)
    slower = dataclasses.replace(setting, sample_time_s=600.0)
    keys = {
        key_of("a", setting, grade_up, 1),
        key_of("b", setting, grade_up, 1),
        key_of("a", setting, grade_up, 2),
        key_of("a", longer, grade_up, 1),
        key_of("a", slower, grade_up, 1),
        key_of("a", setting, dataclasses.replace(grade_up, scenario="startup"), 1),
        key_of("a", setting, dataclasses.replace(grade_up, setpoint=(140.0, 355.0)), 1),
        key_of("a", setting, dataclasses.replace(grade_up, switches=(("noise", True),)), 1),
    }
    assert len(keys) == 8
    renamed = dataclasses.replace(grade_up, suite="other", name="other")
    assert key_of("a", setting, renamed, 1) == key_of("a", setting, grade_up, 1)


def test_the_digest_of_code_follows_imports_and_not_comments(tmp_path, monkeypatch):
    def digest(name, inner):
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "outer.py").write_text("from shop import inner\n".replace("shop", name))
        (package / "inner.py").write_text(inner)
        return code_digest(f"{name}.outer")

    monkeypatch.syspath_prepend(tmp_path)
    plain = digest("shop", "x = 1\n")
    code_digest.cache_clear()
    (tmp_path / "shop" / "inner.py").write_text('"""Words."""\nx = 1  # a comment\n')
    assert code_digest("shop.outer") == plain
    code_digest.cache_clear()
    (tmp_path / "shop" / "inner.py").write_text("x = 2\n")
    assert code_digest("shop.outer") != plain
    code_digest.cache_clear()


def test_the_digest_of_code_follows_what_a_package_passes_on(tmp_path, monkeypatch):
    shelf = tmp_path / "store" / "shelf"
    shelf.mkdir(parents=True)
    (tmp_path / "store" / "__init__.py").write_text("")
    (tmp_path / "store" / "outer.py").write_text("from store.shelf import x\n")
    (shelf / "__init__.py").write_text("from store.shelf.inner import x\n")
    (shelf / "inner.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    plain = code_digest("store.outer")
    code_digest.cache_clear()
    (shelf / "inner.py").write_text("x = 2\n")
    assert code_digest("store.outer") != plain
    code_digest.cache_clear()
