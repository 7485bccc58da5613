"""The catalog in the documents."""

from pathlib import Path

from cli.shown.catalog_table import as_markdown
from gauntlet.spec.catalog import Catalog, catalog

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


def test_the_page_lists_all_that_a_run_is_made_of() -> None:
    """docs/api.md holds what `gauntlet catalog --markdown` prints, a line for each entry and each preset."""
    told = as_markdown(catalog())
    assert told in DOCS.read_text()
    assert "| adversaries | `n_fgsm` |" in told
    assert "de Jorge et al. 2022" in told
    found = catalog()
    for kind in Catalog.model_fields:
        if kind != "object":
            assert told.count(f"\n| {kind.replace('_', ' ')} | ") == len(getattr(found, kind))
    assert "| presets | `quickstart` | " in told
    assert told.rstrip().endswith("its model selected under PGD |")
