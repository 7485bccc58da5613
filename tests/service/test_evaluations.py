"""Evaluations over HTTP: asked for by themselves, followed image by image, and compared."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gauntlet.report.compared.leaderboard import Leaderboard
from gauntlet.report.compared.transfers import TransferMatrix
from gauntlet.resources import Evaluation, Page
from gauntlet.results.finding import Finding
from service.routes import evaluations as routes
from service.settings import ServiceSettings
from store.database import Database
from tests.evaluations import FGSM, batch, begun, finished, imported, queued, recorded

AUTO = {"kind": "autoattack", "eps": "8/255"}


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


def faults(answer: Any) -> list[str]:
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:gauntlet:problem:invalid-request"), answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


def test_an_evaluation_is_accepted_with_its_location(api: TestClient, database: Database) -> None:
    """202, a budget list becomes one attack per budget, and the checkpoint's list has it."""
    checkpoint = imported(database, "one")
    document = {"checkpoint": checkpoint, "attacks": [{"kind": "pgd", "eps": ["4/255", "8/255"]}], "samples": 100}
    answer = api.post("/v1/evaluations", json=document)
    assert answer.status_code == 202
    shown = answer.json()
    assert answer.headers["location"] == f"/v1/evaluations/{shown['id']}"
    assert api.get(answer.headers["location"]).json() == shown
    assert (shown["status"], shown["experiment"], shown["run"], shown["selection"]) == ("queued", None, None, [])
    assert [(attack["label"], attack["total"]) for attack in shown["attacks"]] == [
        ("pgd@4/255", 100),
        ("pgd@8/255", 100),
    ]
    assert [item["id"] for item in api.get("/v1/evaluations", params={"checkpoint": checkpoint}).json()["data"]] == [
        shown["id"]
    ]
    assert api.get("/v1/evaluations", params={"checkpoint": "ckpt_other"}).json()["data"] == []


def test_a_faulty_request_names_its_field(api: TestClient, database: Database) -> None:
    """What is not there, does not fit or is not defined is told before anything is queued."""
    checkpoint, two = imported(database, "one"), imported(database, "two", classes=2)

    def post(**document: Any) -> list[str]:
        return faults(api.post("/v1/evaluations", json=document))

    transfer = {"kind": "transfer", "eps": "8/255"}
    assert post(checkpoint="ckpt_none") == ["/checkpoint"]
    assert post(checkpoint="nonsense") == ["/checkpoint"]
    sweep = FGSM | {"eps": ["2/255", "4/255"]}
    assert post(checkpoint=checkpoint, attacks=[sweep, FGSM | {"eps": "x"}]) == ["/attacks/1/eps"]
    assert post(checkpoint=checkpoint, attacks=[AUTO, sweep | {"eps": ["2/255", "x"]}]) == ["/attacks/1/eps/1"]
    assert post(checkpoint=checkpoint, attacks=[FGSM, transfer | {"source": "ckpt_none"}]) == ["/attacks/1/source"]
    assert post(checkpoint=checkpoint, attacks=[transfer | {"source": two}]) == ["/attacks/0/source"]
    # Its data set, the digits, has ten classes.
    assert post(checkpoint=two, attacks=[AUTO]) == ["/checkpoint", "/attacks/0"]
    assert api.get("/v1/evaluations").json()["data"] == []


def test_an_experiment_names_a_source_that_is_not_there(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """Its transfer attacks are looked at before it trains."""
    tiny_document["evaluation"]["attacks"].append({"kind": "transfer", "eps": "8/255", "source": "ckpt_none"})
    assert faults(api.post("/v1/experiments", json=tiny_document)) == ["/evaluation/attacks/1/source"]


def test_images_say_what_broke_them(api: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page in JSON and at once in CSV; an attack that is not through with an image says nothing of it."""
    held = begun(database, queued(database, imported(database, "one"), FGSM, AUTO))
    parts = [f"autoattack@8/255:{part}" for part in ("apgd-ce", "apgd-t", "fab-t", "square")]
    recorded(
        database,
        held,
        batch("natural", 0, [0, 1], [0, 5]),
        batch("natural", 1, [2, 3], [2, 3]),
        batch("fgsm@8/255", 0, [0, 1], [0, 5]),
        batch("fgsm@8/255", 1, [2, 3], [7, 3]),
        batch(parts[0], 0, [0, 2], [0, 2]),
        batch(parts[0], 1, [3], [3]),
        batch(parts[1], 0, [0, 2], [0, 6]),
        batch(parts[2], 0, [0], [0]),
        batch(parts[3], 0, [0], [0]),
    )
    path = f"/v1/evaluations/{held.id}/images"
    first = api.get(path, params={"limit": 2}).json()
    second = api.get(path, params={"limit": 2, "after": first["next"]}).json()
    assert (first["has_more"], second["has_more"], second["next"]) == (True, False, None)
    images = first["data"] + second["data"]
    assert [(image["position"], image["label"], image["natural"]) for image in images] == [
        (0, "0", "0"),
        (1, "1", "5"),
        (2, "2", "2"),
        (3, "3", "3"),
    ]
    assert [list(image["attacks"].get("autoattack@8/255", {}).values()) for image in images] == [
        [True, "0", None],
        [False, "5", None],
        [False, "6", "apgd-t"],
        [],
    ]
    assert [image["attacks"]["fgsm@8/255"]["broken_by"] for image in images] == [None, None, "fgsm", None]
    table = api.get(path, params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.text.splitlines()[3:] == ["2,2,2,0,7,fgsm,0,6,apgd-t,", "3,3,3,1,3,,,,,"]
    monkeypatch.setattr(routes, "_IMAGES_AT_ONCE", 1)
    assert api.get(path, params={"format": "csv"}).text == table.text


def test_images_say_what_is_in_doubt(api: TestClient, database: Database) -> None:
    """What speaks against the evaluation's numbers stands with its images, in either form, once it has ended."""
    evaluation = queued(database, imported(database, "one"))
    path = f"/v1/evaluations/{evaluation}/images"
    assert api.get(path).json()["doubts"] == []
    finding = Finding(kind="random_output", severity="warning", message="Two passes differ.")
    finished(database, evaluation, natural=4, robust=2, findings=[finding])
    (doubt,) = api.get(path).json()["doubts"]
    assert doubt == {"kind": "random_output", "severity": "warning", "sentence": "Two passes differ."}
    lines = api.get(path, params={"format": "csv"}).text.splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["doubts"] + ["random_output"] * 4
    assert api.get(f"/v1/evaluations/{evaluation}").json()["doubts"] == [doubt]


def test_the_leaderboard_is_answered_and_read_back(api: TestClient, database: Database) -> None:
    """A client's value of it is the service's; a finished evaluation is shown with its outcome."""
    best, worse = imported(database, "best"), imported(database, "worse")
    for checkpoint, robust in ((worse, 1), (best, 3)):
        finished(database, queued(database, checkpoint), natural=4, robust=robust)
    (group,) = Leaderboard.model_validate_json(api.get("/v1/leaderboard").content).groups
    assert [(entry.rank, entry.checkpoint) for entry in group.entries] == [(1, best), (2, worse)]
    shown = Page[Evaluation].model_validate_json(api.get("/v1/evaluations").content).data
    assert shown[0].outcome is not None
    assert group.entries[0].fingerprint == shown[0].outcome.attacks[0].fingerprint
    assert group.protocol.id == shown[0].outcome.attacks[0].protocol.id
    assert api.get("/v1/leaderboard", params={"attack": "square"}).json()["groups"] == []


def test_a_transfer_matrix_is_asked_for_and_read(api: TestClient, database: Database) -> None:
    """The Location of the POST leads to the matrix, still empty."""
    pair = [imported(database, name) for name in ("one", "two")]
    answer = api.post("/v1/transfers", json={"checkpoints": pair, "eps": "4/255", "samples": 4, "batch_size": 4})
    assert answer.status_code == 202
    jobs = Page[Evaluation].model_validate_json(answer.content).data
    assert [job.checkpoint for job in jobs] == pair
    assert [attack.label for attack in jobs[0].attacks] == [f"transfer(source={name})@4/255" for name in pair]
    empty = TransferMatrix.model_validate_json(api.get(answer.headers["location"]).content)
    assert (empty.sources, empty.protocol, empty.cells) == (tuple(pair), None, ((None, None), (None, None)))
    for job in jobs:
        finished(database, job.id, natural=4, robust=2)
    full = TransferMatrix.model_validate_json(api.get(answer.headers["location"]).content)
    assert [[cell and cell.value for cell in row] for row in full.cells] == [[0.5, 0.5], [0.5, 0.5]]


def test_a_faulty_transfer_request_names_its_field(api: TestClient, database: Database) -> None:
    """One checkpoint only, the same twice, one that is not there, and a budget that no image has room for."""
    pair = [imported(database, name) for name in ("one", "two")]

    def post(**document: Any) -> list[str]:
        return faults(api.post("/v1/transfers", json=document))

    assert post(checkpoints=pair[:1]) == ["/checkpoints"]
    assert post(checkpoints=[pair[0], pair[0]]) == ["/checkpoints"]
    assert post(checkpoints=[*pair, "ckpt_none"]) == ["/checkpoints/2"]
    assert post(checkpoints=pair, eps=2) != []
    assert api.get("/v1/transfers", params={"checkpoint": [*pair, "ckpt_none"], "eps": "8/255"}).status_code == 404
    assert api.get("/v1/transfers", params={"checkpoint": pair[:1], "eps": "8/255"}).status_code == 422
