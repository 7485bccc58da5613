"""/guide/: the site of the documents, as files of a folder and of nothing else."""

from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient

from service.routes.documents import SITE


@pytest.fixture
def site(api: TestClient, tmp_path: Path) -> Path:
    """A site of two pages in a folder, beside which lies what is no page of it."""
    folder = tmp_path / "site"
    (folder / "_static").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>Gauntlet</h1>")
    (folder / "_static" / "guide.css").write_text("h1 { color: red }")
    (tmp_path / "secret.html").write_text("not to be seen")
    cast("FastAPI", api.app).state.documents = StaticFiles(directory=folder)
    return folder


def test_a_page_runs_and_shows_its_own_files_only(api: TestClient, site: Path) -> None:
    """The folder is its index; a page's policy lets in no script or style but files of ours, in the page neither."""
    page = api.get("/guide/")
    assert (page.status_code, page.text) == (200, (site / "index.html").read_text())
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert api.get("/guide/_static/guide.css?v=0a1b").headers["content-type"].startswith("text/css")
    assert api.get("/guide/index.html?q=attack").status_code == 200
    assert api.get("/guide/index.html?other=1").status_code == 422


def test_the_way_there_names_no_host(api: TestClient) -> None:
    """Without its slash a page's links would lead elsewhere: a relative address says the same to every asker."""
    answer = api.get("/guide", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "guide/")


def test_a_browser_that_has_a_page_is_told_so(api: TestClient, site: Path) -> None:
    """It asks each time, and a page that is as it was is not sent again."""
    page = api.get("/guide/")
    assert page.headers["cache-control"] == "private, no-cache"
    again = api.get("/guide/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    (site / "index.html").write_text("<h1>Another Gauntlet</h1>")
    assert api.get("/guide/", headers={"If-None-Match": page.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["none.html", "_static", "%2e%2e/secret.html", "..%2fsecret.html", "a%00b", "/etc/passwd", "a" * 256, "a/" * 2_500],
)
def test_nothing_else_is_there(api: TestClient, site: Path, path: str) -> None:
    """404, for a folder and for whatever is outside of the site, however it is written."""
    assert site.is_dir()
    answer = api.get(f"/guide/{path}")
    assert answer.status_code == 404
    assert "make docs" in answer.json()["detail"]


def test_a_link_out_of_the_site_is_not_followed(api: TestClient, site: Path) -> None:
    (site / "out.html").symlink_to(site.parent / "secret.html")
    assert api.get("/guide/out.html").status_code == 404


def test_where_no_site_was_written_it_says_how_to(api: TestClient, tmp_path: Path) -> None:
    assert (SITE.parent.name, SITE.name) == ("build", "guide")
    cast("FastAPI", api.app).state.documents = StaticFiles(directory=tmp_path / "none", check_dir=False)
    assert "`make docs` writes it" in api.get("/guide/").json()["detail"]
