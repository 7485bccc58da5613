"""A site of a few pages, written as the whole one is."""

import re
import shutil
import warnings
from pathlib import Path

import pytest
from sphinx.cmd.build import main as sphinx_build
from sphinx.deprecation import RemovedInSphinx11Warning

from guide import outside
from guide.outside import elsewhere
from guide.places import CHECKOUT, CONFIGURATION, SOURCES


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a start page, one with pictures and tables, and one that is read off the code."""
    folder = tmp_path_factory.mktemp("guide")
    sources = folder / "docs"
    (sources / "reference").mkdir(parents=True)
    for name in ("environment.md", "environment-frame.png", "reference/catalogue.md"):
        shutil.copy(SOURCES / name, sources / name)
    # Links to pages that are not there are no subject here.
    shortened = re.sub(
        r"\]\((?!http|environment-frame)[^)]*\)", "](index.md)", (sources / "environment.md").read_text()
    )
    (sources / "environment.md").write_text(shortened)
    (sources / "index.md").write_text(
        "# Start\n\n```{toctree}\n:caption: Pages\n:hidden:\n\nenvironment\nreference/catalogue\n```\n"
    )
    arguments = ["-q", "-W", "-b", "html", "-c", str(CONFIGURATION), "-d", str(folder / "state")]
    with warnings.catch_warnings():
        # What Sphinx has announced, and MyST still does.
        warnings.simplefilter("ignore", RemovedInSphinx11Warning)
        assert sphinx_build([*arguments, str(sources), str(folder / "site")]) == 0
    return folder / "site"


def test_no_page_has_a_script_or_style_in_it_or_loads_from_elsewhere(site: Path) -> None:
    """So that the service's policy need let in neither, and it works without a network, as files too."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 4
    for page in pages:
        text = page.read_text()
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == [], page
        assert re.findall(r"<style|\sstyle=|\son\w+=", text) == [], page
        for loaded in re.findall(r"<(?:script|link|img|source)\b[^>]*?(?:src|href)=\"([^\"]*)\"", text):
            assert not re.match(r"\w+:|/", loaded), (page, loaded)
            assert (page.parent / loaded.partition("?")[0]).is_file() or loaded.endswith(".html"), (page, loaded)
    assert "url(" not in (site / "_static/guide.css").read_text()


def test_it_can_be_searched_and_walked(site: Path) -> None:
    """The index of all words, the pages beside each, and the headings with a link of their own."""
    assert "bandit" in (site / "searchindex.js").read_text()
    text = (site / "environment.html").read_text()
    assert 'action="search.html"' in text
    assert 'href="reference/catalogue.html"' in text
    assert 'href="#with-an-adversary"' in text
    assert '<pre tabindex="0">' in text
    assert '<table tabindex="0" class="docutils' in text
    assert 'role="heading" aria-level="2"' in text
    assert "<h3><code" in (site / "reference/catalogue.html").read_text()


def test_a_file_from_elsewhere_is_a_page_whose_links_lead_where_they_did() -> None:
    """CONTRIBUTING.md and its like: to pages of the site where there are such, else to a copy of the file."""
    assert elsewhere()[CHECKOUT / "CONTRIBUTING.md"] == SOURCES / "contributing.md"
    content = ["[CONTRIBUTING.md](../CONTRIBUTING.md)\n"]
    outside.read(None, "contributing", content)  # type: ignore[arg-type]  # it asks nothing of Sphinx
    assert content[0].startswith("# Contributing\n")
    assert "[changelog](changelog.md)" in content[0].replace("the changelog", "changelog")
    assert "](decisions/README.md)" in content[0]
    content = ["[Benchmarks](../../benchmarks/README.md)"]
    outside.read(None, "measured/benchmarks", content)  # type: ignore[arg-type]  # likewise
    assert "](claim.md)" in content[0]
    assert "](sampled.md)" in content[0]


def test_links_within_the_documents_stay_as_they_are() -> None:
    page = (SOURCES / "tutorial.md").read_text()
    content = [page]
    outside.read(None, "tutorial", content)  # type: ignore[arg-type]  # likewise
    assert content[0] == page
