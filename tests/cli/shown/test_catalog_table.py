"""The catalog in the documents."""

from pathlib import Path

from cli.shown.catalog_table import as_markdown
from gauntlet.spec.catalog import catalog

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_page_lists_all_that_a_run_is_made_of() -> None:
    """docs/api.md holds what `gauntlet catalog --markdown` prints, a line for each entry."""
    told = as_markdown(catalog())
    assert told in DOCS.read_text()
    assert "| adversaries | `n_fgsm` |" in told
    assert "de Jorge et al. 2022" in told
