"""YAML as a user writes it, read as the values that JSON has."""

import sys

import pytest

from gauntlet.errors import DocumentInvalid
from gauntlet.spec.reading.yaml_documents import read_yaml


@pytest.mark.parametrize(
    ("written", "value"),
    [
        # text, though YAML 1.1 knows another type for each
        ("2026-10-18", "2026-10-18"),
        ("2026-10-18 10:00:00", "2026-10-18 10:00:00"),
        ("2026-10-18T10:00:00Z", "2026-10-18T10:00:00Z"),
        ("1:30", "1:30"),
        ("190:20:30.15", "190:20:30.15"),
        *((word, word) for word in ("no", "No", "yes", "on", "OFF", "y", "n")),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("007", "007"),
        ("=", "="),
        ("8/255", "8/255"),
        ("tRUE", "tRUE"),
        ("'5'", "5"),
        ('".nan"', ".nan"),
        ("!!str 5", "5"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        # numbers, truth and nothing
        ("1e-4", 0.0001),
        ("3.0e-4", 0.0003),
        ("+5", 5),
        ("-0", 0),
        (".5", 0.5),
        ("5.", 5.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_a_plain_scalar_is_a_number_or_text(written: str, value: object) -> None:
    """What JSON writes without quotes is what it is there; everything else is the text that stands there."""
    read = read_yaml(f"field: {written}").values["field"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("key", ["2026-10-18", "5", "no", "~", "1.5", "true", "null"])
def test_a_fields_name_is_text(key: str) -> None:
    """Whatever it looks like."""
    assert read_yaml(f"{key}: 1").values == {key: 1}


@pytest.mark.parametrize(
    ("text", "pointer", "said"),
    [
        ("epochs: 1\nname: x\nepochs: 3", "/epochs", "given twice, in lines 1 and 3"),
        ("training: {epochs: 1, epochs: 1}", "/training/epochs", "given twice, in line 1"),
        ("list:\n- a: 1\n- a: 1\n  'a': 2", "/list/1/a", "given twice, in lines 3 and 4"),
        ("a/b~:\n  c: 1\n  c: 2", "/a~1b~0/c", "given twice, in lines 2 and 3"),
        ("\neps: .nan", "/eps", r"\.nan is nothing that a field can hold \(line 2\)"),
        ("eps: -.INF", "/eps", r"-\.INF is nothing"),
        ("eps: 1e999", "/eps", "1e999 is nothing"),
        (f"eps: {'9' * 5_000}", "/eps", "99 is nothing"),
        ("a: !!set {x}", "/a", "tag !!set means nothing here"),
        ("a: !!binary aGk=", "/a", "tag !!binary means nothing here"),
        ("a: !!timestamp 2026-10-18", "/a", "tag !!timestamp means nothing here"),
        ("a: !!python/object/apply:os.system [ls]", "/a", "tag !!python"),
        ("a: !mine x", "/a", "tag !mine means nothing here"),
        ("a: !!int x", "/a", "x is nothing"),
        ("a: !!bool maybe", "/a", "maybe is nothing"),
        ("? [a]\n: 1", "", r"must be text, not a list or an object \(line 1\)"),
        ("", "", "is empty"),
        ("# nothing but a remark\n", "", "is empty"),
        ("a: 1\n---\na: 2", "", "a second document"),
        ("a:\n\t- b", "", "line 2, column 1: a tab stands"),
        ("a: b: c", "", "line 1, column 5: a colon stands"),
        ("a: [1,", "", r"a list in \[ \] or"),
        ("a: 'x", "", "a quoted text is not ended"),
        ("a: \x07", "", "line 1: a character there is not allowed"),
        ("a: *nowhere", "", "undefined alias"),
        ("a: {<<: 5}", "/a", "What << takes over must be an object"),
    ],
)
def test_what_cannot_be_a_spec_is_told_with_its_line(text: str, pointer: str, said: str) -> None:
    """One sentence, and the field where there is one."""
    with pytest.raises(DocumentInvalid, match=said) as told:
        read_yaml(text)
    assert told.value.pointer == pointer
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: &a {<<: *a}",
        "[" * 500,
        "a: [" + "[" * 150 + "]" * 150 + "]",
        # nine to the eleventh values in twelve lines
        "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))]),
    ],
    ids=["list", "object", "merge", "unclosed", "deep", "laughs"],
)
def test_what_is_endless_is_bounded(text: str) -> None:
    """An alias within itself, aliases of aliases, and nesting end in a sentence, not in a full memory.

    However deep Python may go: libraries that are loaded beside it raise that bound.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        with pytest.raises(DocumentInvalid, match=r"nested too deeply|more than 100000 values"):
            read_yaml(text)
    finally:
        sys.setrecursionlimit(before)


def test_aliases_and_merges_repeat_what_they_name() -> None:
    """What an object says itself goes before what it takes over, and of several taken over the first goes first."""
    text = "one: &one {kind: pgd, eps: 1}\ntwo: {<<: *one, eps: 2}\nthree: {<<: [*one, {q: 3, eps: 3}]}\nfour: *one"
    assert read_yaml(text).values == {
        "one": {"kind": "pgd", "eps": 1},
        "two": {"kind": "pgd", "eps": 2},
        "three": {"kind": "pgd", "eps": 1, "q": 3},
        "four": {"kind": "pgd", "eps": 1},
    }


def test_each_value_has_its_line_and_what_was_written() -> None:
    """A field's line is that of its name; what stands in quotes was meant as text already."""
    document = read_yaml("a: 007\nb:\n- 1.50\n- c:\n    'x'\n")
    assert document.lines == {"": 1, "/a": 1, "/b": 2, "/b/0": 3, "/b/1": 4, "/b/1/c": 4}
    assert document.written == {"/a": "007", "/b/0": "1.50"}
