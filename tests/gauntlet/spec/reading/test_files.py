"""Specs and cards in files."""

import json
from pathlib import Path
from typing import Any

import pytest

from gauntlet.errors import DocumentInvalid
from gauntlet.spec.checkpoint_card import ImportCard
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.reading.files import read_file

SPEC = """\
dataset: {name: digits}
objectives: [{kind: cross_entropy}]
adversary: {kind: fgsm, eps: 8/255}
"""


def written(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("name", ["2026-10-18", "20261018", "1.50", "true", "no", "1:30", "0x1F", "-5"])
def test_a_name_is_the_text_that_stands_there(tmp_path: Path, name: str) -> None:
    """A date, a number or a word of truth is a name as good as any."""
    file = read_file(written(tmp_path, "a.yaml", f"name: {name}\n{SPEC}"), ExperimentSpec)
    assert ExperimentSpec.model_validate(file.fields).name == name


def test_text_is_taken_where_it_is_asked_for_only(tmp_path: Path) -> None:
    """A folder's name within a union, and classes in a list; where a number is asked for it stays one."""
    card = (
        "name: 5\nsource: 2024-05-01\narchitecture: {kind: cnn}\nclasses: [0, 1.50, true, no]\n"
        "dataset: {name: image_folder, folder: 7, image_size: 32}"
    )
    fields = read_file(written(tmp_path, "card.yaml", card), ImportCard).fields
    assert fields == {
        "name": "5",
        "source": "2024-05-01",
        "architecture": {"kind": "cnn"},
        "classes": ["0", "1.50", "true", "no"],
        "dataset": {"name": "image_folder", "folder": "7", "image_size": 32},
    }


def test_nothing_is_no_text(tmp_path: Path) -> None:
    """A name that is left out stays left out, and one in JSON is what it is."""
    assert read_file(written(tmp_path, "a.yaml", f"name:\n{SPEC}"), ExperimentSpec).fields["name"] is None
    assert read_file(written(tmp_path, "a.json", '{"name": 5}'), ExperimentSpec).fields == {"name": 5}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", "name: a\nname: b\n", "a.yaml, /name: The field is given twice, in lines 1 and 2."),
        ("a.json", '{"name": 1,\n\t"name": 2}', "a.json, /name: The field is given twice, in lines 1 and 2."),
        (
            "a.json",
            '{"training": {"epochs": 1, "epochs": 2}}',
            "/training/epochs: The field is given twice, in line 1.",
        ),
        ("a.json", '{"name": }', "a.json: It is not JSON at line 1, column 10"),
        ("a.JSON", "name: x", "a.JSON: It is not JSON"),
        ("a.yaml", "", "a.yaml: It is empty."),
        ("a.yaml", "- a\n- b", "a.yaml: It holds no fields such as `name: value`."),
        ("a.yaml", "just text", "a.yaml: It holds no fields"),
        ("a.json", "[1]", "a.json: It holds no fields"),
        (
            "a.yaml",
            b"name: x\nsource: caf\xe9",
            "a.yaml: It is not UTF-8 text: line 2 holds a byte that is none of it.",
        ),
        ("a.yaml", "name: x".encode("utf-16"), "a.yaml: It is not UTF-8 text: line 1"),
        ("a.yaml", b"\x89PNG\r\n\x1a\n", "a.yaml: It is not UTF-8 text"),
        ("a.yaml", "#" * (1 << 20) + "\n", "a.yaml: It is larger than 1 MiB"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    """It names the file first."""
    with pytest.raises(DocumentInvalid) as told:
        read_file(written(tmp_path, name, content), ExperimentSpec)
    assert said in str(told.value)
    assert str(told.value).startswith(f"{tmp_path / name}")
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """As is a folder."""
    with pytest.raises(DocumentInvalid, match=r"missing\.yaml cannot be read: No such file or directory\."):
        read_file(tmp_path / "missing.yaml", ExperimentSpec)
    with pytest.raises(DocumentInvalid, match=r"cannot be read: Is a directory\."):
        read_file(tmp_path, ExperimentSpec)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """Some editors begin UTF-8 with one."""
    for name, content in (("a.yaml", "name: x"), ("a.json", '{"name": "x"}')):
        assert read_file(written(tmp_path, name, b"\xef\xbb\xbf" + content.encode()), ExperimentSpec).fields == {
            "name": "x"
        }


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("/adversary/eps", "line 4, /adversary/eps"),
        ("/objectives/0/kind", "line 2, /objectives/0/kind"),
        # missing: the line of what it is missing from
        ("/training/optimizer/lr", "line 5, /training/optimizer/lr"),
        ("/seeds", "/seeds"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("indent", [None, "\t"])
def test_a_fault_is_told_with_its_line(tmp_path: Path, pointer: str, place: str, indent: str | None) -> None:
    """In YAML and in JSON, whatever that is indented with."""
    if indent is None:
        text = "dataset: {name: digits}\nobjectives: [{kind: x}]\nadversary:\n  eps: 9\ntraining:\n  optimizer: {}\n"
        file = read_file(written(tmp_path, "a.yaml", text), ExperimentSpec)
        place = place.replace("line 5", "line 6")
    else:
        values: dict[str, Any] = {"objectives": [{"kind": "x"}], "adversary": {"eps": 9}, "training": {"optimizer": {}}}
        text = json.dumps(values, indent=indent)
        file = read_file(written(tmp_path, "a.json", text), ExperimentSpec)
        line = {"/adversary/eps": 8, "/objectives/0/kind": 4, "/training/optimizer/lr": 11}.get(pointer)
        place = f"line {line}, {pointer}" if line else pointer
    told = ", ".join(part for part in (str(file.file), place) if part)
    assert file.tell(pointer, "So it is.") == f"{told}: So it is."
