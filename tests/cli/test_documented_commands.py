"""What the documents tell one to type or to follow: commands with their options, targets, modules and links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.commands import app
from tests.command import whole
from tests.documents.blocks import PAGES, ROOT

# What stands for one of several commands, or for any.
NOTATION = re.compile(r"\||\bCOMMAND\b")


def typed(text: str) -> Iterator[str]:
    """Whole command lines that begin with `gauntlet`, of the blocks of a page."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\||&|\$\(|\)", line.split(" #")[0]):
                if part.strip().startswith("gauntlet "):
                    yield re.sub(r">\s*\S+", "", part).strip()


def mentioned(text: str) -> Iterator[str]:
    """Commands within sentences, which may leave out what they are given."""
    for code in re.findall(r"`(gauntlet [^`\n]+)`", text):
        if not NOTATION.search(code):
            yield code


def meant(line: str) -> tuple[Any, list[str]]:
    """The command, and what it is given."""
    _, *words = shlex.split(line)
    command: Any = whole(app)
    while words and not words[0].startswith("-") and hasattr(command, "commands"):
        assert words[0] in command.commands, f"{line}: there is no such command"
        command = command.commands[words.pop(0)]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_takes_what_it_is_given(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines with all that they need, and a command in a sentence with the options that it names."""
    monkeypatch.chdir(tmp_path)
    for name in ("PICTURE.png", "zero.png", "kept.npz", "model.pt", "model.safetensors", "mine.yaml", "$picture"):
        (tmp_path / name).touch()
    (tmp_path / "pets").mkdir()
    for line in typed(page.read_text()):
        command, words = meant(line)
        command.make_context(command.name, words)
    for line in mentioned(page.read_text()):
        command, words = meant(line)
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert set(options) <= known | {"--help", "--install-completion", "--show-completion"}, line


def test_the_pages_tell_of_many_commands() -> None:
    """So that a change of their form does not empty the test above."""
    texts = [page.read_text() for page in PAGES]
    assert sum(len(list(typed(text))) for text in texts) > 20
    assert sum(len(list(mentioned(text))) for text in texts) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_module_and_link_is_there(page: Path) -> None:
    """`make` has the target, Python the module, and a link leads to a file or to a heading in it."""
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    typed_there = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    made = {*re.findall(r"`make ([a-z-]+)", text), *re.findall(r"^make ([a-z-]+)", typed_there, re.MULTILINE)}
    assert made <= targets
    for module in re.findall(r"python -m ((?:benchmarks|service|worker|cli)[\w.]*)", text):
        path = ROOT / module.rstrip(".").replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), module
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, heading = target.partition("#")
        if not target.startswith("http"):
            led_to = page.parent / file if file else page
            assert led_to.exists(), target
            assert not heading or heading in headings(led_to.read_text()), target


def test_every_file_of_the_walks_is_there() -> None:
    """What CONTRIBUTING.md sends one to: files and folders, and the names that it says are in them."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:gauntlet|cli|service|store|worker|tests|docs|migrations)/[\w./]+)`", text))
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name.replace("NAME", "home")).exists()] == []
    for path, names in {
        "gauntlet/spec/runs/objectives.py": ("LossSpec", "PairedSpec", "AgentSpec"),
        "gauntlet/training/steps/objectives.py": ("objective_loss",),
        "gauntlet/spec/runs/architectures.py": ("ArchitectureSpec", "require_size"),
        "gauntlet/spec/kinds.py": ("PublishedDataset", "DatasetSpec"),
        "gauntlet/models/architectures.py": ("initialise",),
    }.items():
        found = (ROOT / path).read_text()
        assert all(name in found and f"`{name}`" in text for name in names), path


def headings(text: str) -> set[str]:
    """As they are named in a link."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = (
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    )
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "").strip().lower())) for heading in found}
