"""Recipes: those that ship, those that extend one, and those that are refused."""

import pytest

from models.recipe import RecipeError, load_recipe, shipped_recipes


def test_the_shipped_recipe_is_listed_and_loads():
    assert "polymer-cstr" in shipped_recipes()
    for name in shipped_recipes():
        assert load_recipe(name).name == name
        assert load_recipe(name).description


def test_a_recipe_holds_only_what_differs_from_the_one_it_extends(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "polymer-cstr"\nname = "mine"\n[policy]\nsteps = 7\n'
        '[[cvs]]\nname = "Temperature"\nweight = 9.0\n'
    )
    mine, base = load_recipe(str(path)), load_recipe("polymer-cstr")
    assert (mine.name, mine.policy.steps) == ("mine", 7)
    assert mine.policy.batch == base.policy.batch
    assert mine.cvs[0] == base.cvs[0]
    assert mine.cvs[1] == base.cvs[1].model_copy(update={"weight": 9.0})
    heir = tmp_path / "heir.toml"
    heir.write_text('extends = "mine.toml"\nname = "heir"\n')
    assert load_recipe(str(heir)).policy == mine.policy


def test_a_recipe_that_extends_itself_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "mine.toml"\n')
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(str(path))


def test_a_published_recipe_with_dither_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "polymer-cstr"\n[behaviour]\nvariant = "published_pi"\n')
    with pytest.raises(RecipeError, match="variant published_pi"):
        load_recipe(str(path))


def test_a_level_that_the_episodes_cannot_give_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "polymer-cstr"\n[conformal]\nood_level = 0.99\n')
    with pytest.raises(RecipeError, match="`least_episodes` of 99 or more"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 3\n", "name"),
        ("name = \n", "not valid TOML"),
        ('polcy = "iql"\n', "did you mean `policy`"),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_and_key(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=words):
        load_recipe(str(path))
