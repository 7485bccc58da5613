"""docs/tree.md names what there is, where it is."""

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
# Of these the tree says what each of their files is about, all in one line.
_AS_A_WHOLE = (
    "gauntlet/client", "gauntlet/data/uploads", "gauntlet/resources", "gauntlet/training/fused", "service/aside",
    "service/page", "service/routes", "store/backups", "store/models", "store/storage",
)  # fmt: skip


def _named() -> set[Path]:
    """The files and folders of the tree, each below the folders that it is indented under."""
    (tree,) = re.findall(r"```\n(.*?)```", (_ROOT / "docs" / "tree.md").read_text(encoding="utf-8"), re.DOTALL)
    found: set[Path] = set()
    folders: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.match(r"(?:[\w.-]+(?:/|\.py|\.jinja) ?)+", line.strip())
        assert names, line
        del folders[depth:]
        found |= {Path(*folders, name) for name in names[0].split()}
        folders += [names[0].strip()] if names[0].strip().endswith("/") else []
    return found


def test_the_tree_is_the_one_there_is() -> None:
    """Whatever it names is there, and no module of a room is left out."""
    named = _named()
    assert [str(path) for path in named if not (_ROOT / path).exists()] == []
    modules = {
        file.relative_to(_ROOT)
        for room in ("gauntlet", "store", "service", "worker", "cli", "guide")
        for file in (_ROOT / room).rglob("*.py")
        if file.name not in {"__init__.py", "__main__.py"}
    }
    told = {path for path in modules if str(path).startswith(_AS_A_WHOLE)}
    assert [str(path) for path in sorted(modules - told - named)] == []
