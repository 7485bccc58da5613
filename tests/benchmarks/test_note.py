"""The claim in four pages: it is built, and says what the records say."""

import json
from pathlib import Path

import typst

from benchmarks.pictures.note import ROOT, SOURCE, main

_RESULTS = ROOT / "benchmarks/claim/results"


def test_it_is_a_pdf_of_at_most_four_pages(tmp_path: Path) -> None:
    main(["--out", str(tmp_path / "note.pdf")])
    assert (tmp_path / "note.pdf").read_bytes().startswith(b"%PDF-")
    pages = typst.compile(SOURCE, root=ROOT, format="png", ppi=20)
    assert isinstance(pages, list)
    assert len(pages) <= 4


def test_its_tables_have_the_records_numbers() -> None:
    """Rounded as anywhere else: the first comparison's mean, and the first figure of the margins."""
    tables = json.loads(typst.query(SOURCE, "figure", root=ROOT))
    text = json.dumps(tables, ensure_ascii=False)
    verdict = json.loads((_RESULTS / "verdict.json").read_text())
    cause = json.loads((_RESULTS / "cause.json").read_text())
    low, high = (f"{100 * end:+.1f}" for end in verdict["primary"][0]["interval"])
    assert f"{100 * verdict['primary'][0]['mean']:+.1f} [{low}, {high}]" in text
    assert f"{cause['differences'][3]['reward']:.1f}" in text
    lost = next(one["reward"] for one in cause["differences"] if one["figure"] == "of these, lost to AutoAttack")
    assert f"{lost:.1f}".replace("-", "−") in text
