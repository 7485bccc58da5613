"""What a browser is sent of the page."""

import re
from typing import get_args

import pytest
from fastapi.testclient import TestClient

from gauntlet.spec.evaluations.protocols import NEWEST
from gauntlet.spec.runs.objective_labels import objective_title
from gauntlet.spec.runs.objectives import AgentSpec, LossSpec
from guide.places import SOURCES
from service.app import create_app
from service.page.files import assets, document
from service.settings import ServiceSettings

_IS_BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def guarded(settings: ServiceSettings) -> TestClient:
    """A service that wants a login."""
    return TestClient(create_app(settings.model_copy(update={"auth": "on"})))


def test_the_page_and_its_files_open_without_a_login(guarded: TestClient) -> None:
    """One must see a page to log in; data stay closed, and a program is told where to go as before."""
    page = guarded.get("/", headers=_IS_BROWSER)
    assert page.status_code == 200
    named = set(re.findall(r'(?:href|src)="(/page/[^"]+)"', page.text))
    assert len(named) > 5
    assert all(guarded.get(path).status_code == 200 for path in named)
    assert guarded.get("/v1/experiments").status_code == 401
    assert guarded.get("/").json()["object"] == "index"


def test_nothing_but_our_own_files_can_become_script_or_style(guarded: TestClient) -> None:
    """The policy allows nothing inline and nothing from elsewhere, and the page does with it."""
    policy = guarded.get("/", headers=_IS_BROWSER).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    text = document().content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)|https?://", text)
    assert not any(
        re.search(rb"innerHTML|insertAdjacentHTML|document\.write", file.content) for file in assets().values()
    )


def test_a_browser_asks_each_time_and_is_sent_what_is_new(guarded: TestClient) -> None:
    """An upgrade is seen at once; what has not changed is not sent again."""
    first = guarded.get("/page/page.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = guarded.get("/page/page.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = guarded.get("/page/page.js", headers={"If-None-Match": '"of before"'})
    assert other.content == first.content


def test_the_page_asks_for_the_versions_of_protocols_that_their_names_stand_for() -> None:
    """An attack picked on the page is the one that `protocol` and the command ask for."""
    (text,) = (file.content.decode() for name, file in assets().items() if name.endswith("evaluating.js"))
    (written,) = re.findall(r"const versions = \{(.*)\};", text)
    assert {kind: {"version": int(version)} for kind, version in re.findall(r"(\w+): (\d+)", written)} == NEWEST


def test_the_page_calls_objectives_as_reports_do() -> None:
    """By the same titles; what a user has called one is no word of the API, though it may read like one."""
    (text,) = (file.content.decode() for name, file in assets().items() if name.endswith("words.js"))
    (written,) = re.findall(r"const OBJECTIVES = \{(.*?)\};", text, re.DOTALL)
    kinds = [model.model_fields["kind"].default for model in get_args(LossSpec | AgentSpec)]
    assert dict(re.findall(r'(\w+): "([^"]+)"', written)) == {kind: objective_title(kind) for kind in kinds}


def test_modules_are_fetched_together_and_those_of_home_first() -> None:
    """A view's template names all that its module imports; each module is some view's, or the frame's."""
    text = document().content.decode()
    fetched = set(re.findall(r'modulepreload" href="/page/(\w+\.js)">', text))
    assert fetched == {
        f"{name}.js"
        for name in ("page", "home", "actions", "api", "dom", "jobs", "login", "modules", "tables", "words")
    }
    of_views = dict(re.findall(r'<template id="view-(\w+)" data-modules="([^"]+)">', text))
    assert set(of_views["leaderboard"].split()) == {
        f"{name}.js" for name in ("leaderboard", "actions", "api", "dom", "jobs", "words")
    }
    assert fetched.union(*(each.split() for each in of_views.values())) == {
        name for name in assets() if name.endswith(".js")
    }


def test_what_a_module_calls_of_another_it_imports() -> None:
    """A browser finds out when it is called: a box of a view that nobody clicked did nothing."""
    modules = {
        name: re.sub(r"//.*", "", file.content.decode()) for name, file in assets().items() if name.endswith(".js")
    }
    exported = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)
    shared = {each for text in modules.values() for each in exported.findall(text)}
    assert "tried" in shared
    for name, text in modules.items():
        imports = re.compile(r"^import \{(.*)\} from .*$", re.MULTILINE)
        here = {each.strip() for names in imports.findall(text) for each in names.split(",")}
        own = re.findall(r"\b(?:function|const|let|class) (\w+)|^ +(\w+)\(.*\) \{$", text, re.MULTILINE)
        here |= {each for found in own for each in found}
        called = set(re.findall(r"(?<![\w.])(\w+)\(", imports.sub("", text))) & shared
        assert called <= here, name


def test_there_are_no_other_files(guarded: TestClient) -> None:
    """A name is looked up among the page's files; it is no path."""
    for name in ("nothing.js", "..%2Ffiles.py", "%2e%2e%2fviews%2fhome.html", "page.js%00"):
        assert guarded.get(f"/page/{name}").status_code in (404, 422)


def test_the_first_visit_is_small() -> None:
    """All of the page, every view in it, has at most 250 kB."""
    assert len(document().content) + sum(len(file.content) for file in assets().values()) < 250_000


def test_the_documents_have_the_headings_that_the_page_leads_to() -> None:
    """By MyST's anchors: a heading's words, lower, with hyphens between."""
    led_to = re.findall(r'href="/guide/([\w/]+)\.html#([\w-]+)"', document().content.decode())
    assert led_to
    for name, anchor in led_to:
        headings = re.findall(r"^#+ (.*)$", (SOURCES / f"{name}.md").read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, name
