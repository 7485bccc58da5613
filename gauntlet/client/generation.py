"""Makes `synchronous` beside it from `asynchronous`: the same methods, without `async` and `await`.

Run it by `make client` after a change there; a test sees that both agree.
"""

import subprocess
import sys
from pathlib import Path

# A tool of development, with no types.
import unasync  # type: ignore[import-untyped]  # it has no types

HERE = Path(__file__).parent
_MADE = "Made from `gauntlet/client/asynchronous` by `make client`: change it there."
_NAMES = {
    "AsyncGauntletClient": "GauntletClient",
    "AsyncClient": "Client",
    "aclose": "close",
    "aiter_lines": "iter_lines",
    "aread": "read",
    "asyncio": "time",
    "asynchronous": "synchronous",
}


def generate(into: Path) -> None:
    """Write the synchronous modules into the folder."""
    source = HERE / "asynchronous"
    rule = unasync.Rule(f"{source}/", f"{into}/", additional_replacements=_NAMES)
    unasync.unasync_files(list(map(str, sorted(source.glob("*.py")))), [rule])
    (into / "__init__.py").write_text(
        '"""Made from `gauntlet/client/asynchronous` by `make client`: change it there."""\n', encoding="utf-8"
    )
    ruff = [sys.executable, "-m", "ruff", "--quiet"]
    settings = ["--config", str(HERE.parents[1] / "pyproject.toml")]
    for arguments in (["check", "--select", "I,UP028", "--fix", "--unsafe-fixes"], ["format"]):
        subprocess.run([*ruff, *arguments, *settings, str(into)], check=True)  # noqa: S603  # our own arguments


if __name__ == "__main__":
    generate(HERE / "synchronous")
