"""What the reference pages say is what the code has: every name, request, command and kind, and no other."""

import re
from typing import Any

import typer

import gauntlet
from cli.commands import app
from gauntlet.spec.catalog import catalog
from guide import catalogue, commands, names, requests
from guide.markdown import table
from tests.service.conftest import documented_app


def headings(text: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.*)$", text, re.MULTILINE)


def test_every_promised_name_is_there_with_its_docstring() -> None:
    """A directive each, of a class with its methods; what pydantic brings is left out."""
    text = names.as_markdown()
    assert re.findall(r"^\.\. auto\w+:: (\w+)", text, re.MULTILINE) == gauntlet.__all__
    assert ".. autofunction:: train\n" in text
    assert ".. autoclass:: ImageSet\n   :members:\n" in text
    assert "model_validate" in text.partition(".. autoclass:: ExperimentSpec(**fields)")[2].splitlines()[2]


def test_every_request_is_there_with_what_it_can_be_answered() -> None:
    text = requests.as_markdown()
    paths = documented_app().openapi()["paths"]
    asked = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods if method != "head"}
    assert set(headings(text, 2)) == asked
    section = text.partition("## POST /v1/runs/{run_id}/retry\n")[2].partition("\n## ")[0]
    assert "| `run_id` | path | string |" in section
    assert re.search(r"^\| 404 \|.*\| a problem \|$", section, re.MULTILINE)


def test_every_command_is_there_with_its_options() -> None:
    """Those of a group below its name, and a choice with its default."""
    text = commands.as_markdown()

    def called(group: Any, name: str) -> set[str]:
        if not hasattr(group, "commands"):
            return set() if group.hidden else {name}
        return {found for child, command in group.commands.items() for found in called(command, f"{name} {child}")}

    assert set(headings(text, 2)) == called(typer.main.get_command(app), "gauntlet")
    section = text.partition("## gauntlet evaluate\n")[2].partition("\n## ")[0]
    assert "gauntlet evaluate [OPTIONS] {CHECKPOINT}" in section
    assert "| `--samples` | How many of the first test images. | `1000` |" in section


def test_every_kind_is_there_with_its_bounds() -> None:
    text = catalogue.as_markdown()
    found = catalog()
    several = (found.datasets, found.architectures, found.objectives, found.adversaries, found.optimizers)
    every = [entry for kind in (*several, found.schedules, found.attacks) for entry in kind]
    assert {f"`{entry.tag}: {entry.name}`" for entry in every} <= set(headings(text, 3))
    section = text.partition("### `kind: pgd`\n")[2].partition("\n###")[0]
    assert re.search(r"^\| `steps` \| integer, ≥ 1, ≤ [\d,]+ \|", section, re.MULTILINE)
    assert all(f"- `{preset.name}`: " in text for preset in found.presets)


def test_a_table_leaves_out_what_no_row_has() -> None:
    """And a bar within a cell does not end it."""
    assert list(table(("one", "two", "three"), [("a|b", "", "c"), ("d", "", "")])) == [
        "| one | three |",
        "| --- | --- |",
        "| a&#124;b | c |",
        "| d |  |",
        "",
    ]
    assert list(table(("one",), [])) == []
