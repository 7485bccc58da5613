"""What the library promises: the page docs/library.md and the package say the same."""

import ast
import inspect
import re
import tomllib
from pathlib import Path
from types import UnionType

import pytest
import yaml

import gauntlet

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/library.md").read_text()
_ROW = re.compile(r"^\| `(\w+)(?:\(([\w, ]*)\))?` \|", re.MULTILINE)
_PROMISED = PAGE[PAGE.index("### Asking") : PAGE.index("### Elsewhere")]


def test_the_page_lists_what_the_package_offers() -> None:
    """Each name once, and `GauntletError` in its place among the modules."""
    names = [name for name, _ in _ROW.findall(_PROMISED)]
    assert sorted(names) == sorted({*gauntlet.__all__} - {"GauntletError"})
    assert "whose root is `GauntletError`" in PAGE


def test_the_page_has_the_parameters_of_every_function() -> None:
    """In their order; what is no function has none."""
    for name, parameters in _ROW.findall(_PROMISED):
        promised = getattr(gauntlet, name)
        expected = list(inspect.signature(promised).parameters) if inspect.isfunction(promised) else []
        assert [part for part in parameters.split(", ") if part] == expected, name


@pytest.mark.parametrize("name", sorted(gauntlet.__all__))
def test_what_is_promised_says_what_it_is(name: str) -> None:
    """A docstring of its own, and for a function a type for each parameter and its result."""
    promised = getattr(gauntlet, name)
    if isinstance(promised, UnionType):
        return
    assert promised.__doc__
    if inspect.isfunction(promised):
        assert promised.__annotations__.keys() == {*inspect.signature(promised).parameters, "return"}


def test_type_checkers_see_what_is_loaded() -> None:
    """A name is imported for them from the module that it is loaded from when it is used."""
    tree = ast.parse(Path(str(gauntlet.__file__)).read_text())
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = {
        node.module: tuple(alias.name for alias in node.names)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
    }
    assert imports == gauntlet._HOMES
    assert {name for names in imports.values() for name in names} | {"GauntletError"} == {*gauntlet.__all__}


def test_one_version_is_told_everywhere() -> None:
    """The package's, the distribution's, and the one to cite."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert told == cited["version"] == gauntlet.__version__
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()


def test_a_name_that_is_not_promised_is_not_there() -> None:
    """As of any module; and those that are can be listed before they are loaded."""
    with pytest.raises(AttributeError, match="module 'gauntlet' has no attribute 'trian'"):
        gauntlet.trian  # type: ignore[attr-defined]  # noqa: B018  # misspelt, to be told so
    assert {*gauntlet.__all__} <= {*dir(gauntlet)}
