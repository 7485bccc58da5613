"""Asking for an experiment: looked at beforehand, as another one with changes, and with what stands beside it."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import ServiceSettings
from tests.service.transport.test_origins import rows

VALIDATE = "/v1/experiments/validate"


@pytest.fixture
def made(api: TestClient, tiny_document: dict[str, Any]) -> dict[str, Any]:
    """An experiment that is there."""
    answer: dict[str, Any] = api.post("/v1/experiments", json=tiny_document).json()
    return answer


def test_a_draft_is_told_what_it_would_be(
    api: TestClient, settings: ServiceSettings, tiny_document: dict[str, Any]
) -> None:
    """Its runs, its data, its spec as it is understood; no time that nobody measured. Nothing is stored."""
    before = rows(settings)
    objectives = [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}]
    told = api.post(VALIDATE, json=tiny_document | {"objectives": objectives, "seeds": [3, 5]}).json()
    assert told["faults"] == []
    assert [(run["objective"], run["seed"]) for run in told["runs"]] == [
        ("cross_entropy", 3),
        ("cross_entropy", 5),
        ("policy_gradient", 3),
        ("policy_gradient", 5),
    ]
    assert sum(each["images"] for each in told["dataset"]["train"]["classes"]) == 1_437
    assert told["spec"]["training"]["epochs"] == 4
    assert (told["estimates"], told["checkpoint_bytes"]) == ([], None)
    assert rows(settings) == before


def test_a_draft_is_told_how_many_images_its_runs_use(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """Of those that are there: drawn by `train_samples`, less what is held out of them, and attacked; none unseen."""

    def used(draft: dict[str, Any]) -> list[tuple[int | None, ...]]:
        told = api.post(VALIDATE, json=tiny_document | draft).json()
        return [(run["train_images"], run["validation_images"], run["test_images"]) for run in told["runs"]]

    validated = tiny_document["evaluation"] | {"select_on": "validation"}
    assert used({"evaluation": {"samples": 1_000}}) == [(96, 0, 360)]
    assert used({"dataset": {"name": "digits"}, "evaluation": validated}) == [(1_294, 143, 16)]
    drawn = {"dataset": {"name": "digits", "train_samples": 100}}
    assert used(drawn | {"evaluation": validated | {"validation_samples": 30}}) == [(70, 30, 16)]
    swept = {"sweep": {"over": {"dataset.train_samples": [50, 200]}}}
    assert used(swept) == [(50, 0, 16), (200, 0, 16)]
    away = {"name": "image_folder", "folder": "nowhere"}
    assert used({"dataset": away}) == [(None, None, None)]


def test_a_draft_is_told_all_that_is_wrong(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """At once and with 200, half typed as it may be: its fields, or if they are right its data and checkpoints."""

    def faults(draft: dict[str, Any]) -> set[str]:
        answer = api.post(VALIDATE, json=draft)
        assert answer.status_code == 200
        assert answer.json()["runs"] == [] or answer.json()["spec"] is not None
        return {fault["pointer"] for fault in answer.json()["faults"]}

    assert faults({}) == {"/dataset", "/objectives", "/adversary"}
    misspelt = {"seeds": [-1], "labels": [""], "trainin": {}}
    assert faults(tiny_document | misspelt) == {"/seeds/0", "/labels/0", "/trainin"}
    lacking = {"dataset": {"name": "digits", "train_samples": 5_000}}
    lacking |= {"training": {"initial_checkpoint": "ckpt_0"}}
    assert faults(tiny_document | lacking) == {"/dataset/train_samples", "/training/initial_checkpoint"}
    assert faults({"like": "exp_0", "changes": {}}) == {"/like"}
    assert faults({"like": 3}) == {"/like"}


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"a": 1, "a": 2}', b'"text"'])
def test_what_is_no_draft_is_refused(api: TestClient, body: bytes) -> None:
    """422, as everywhere."""
    answer = api.post(VALIDATE, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_an_experiment_is_made_like_another(api: TestClient, made: dict[str, Any]) -> None:
    """The same spec but for the changes: null is the default again, and another kind brings its own fields."""
    changes = {
        "name": "again",
        "training": {"epochs": 2, "checkpoint_every": None},
        "architecture": {"kind": "resnet18"},
        "seeds": [7],
    }
    for path in ("/v1/experiments", VALIDATE):
        answer = api.post(path, json={"like": made["id"], "changes": changes})
        assert answer.is_success
        expected = made["spec"] | {"name": "again", "seeds": [7], "architecture": {"kind": "resnet18"}}
        expected["training"] = made["spec"]["training"] | {"epochs": 2, "checkpoint_every": 20}
        assert answer.json()["spec"] == expected
    same = api.post("/v1/experiments", json={"like": made["id"]}).json()
    assert (same["spec"], same["id"] != made["id"]) == (made["spec"], True)


@pytest.mark.parametrize(
    ("request_", "pointers"),
    [
        ({"like": "exp_0"}, ["/like"]),
        ({"like": "run_0"}, ["/like"]),
        ({"like": "", "seeds": [1]}, ["/like", "/seeds"]),
        (
            {"like": "made", "changes": {"training": {"epochs": 0}, "seeds": []}},
            ["/changes/seeds", "/changes/training/epochs"],
        ),
        ({"like": "made", "changes": {"dataset": {"train_samples": 9_999}}}, ["/dataset/train_samples"]),
        (
            {"like": "made", "changes": {"sweep": {"over": {"adversary.eps": ["2/255", "4/255"]}}}},
            ["/changes/sweep/metric"],
        ),
    ],
    ids=str,
)
def test_a_faulty_likeness_names_its_field(
    api: TestClient, made: dict[str, Any], request_: dict[str, Any], pointers: list[str]
) -> None:
    """The experiment, the change, or what does not fit the data."""
    asked = request_ | ({"like": made["id"]} if request_["like"] == "made" else {})
    answer = api.post("/v1/experiments", json=asked)
    assert answer.status_code == 422
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == pointers


def test_names_labels_and_notes_change_and_specs_do_not(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """They may be given at the start; a patch changes what it names, and null takes it away."""
    beside = {"labels": ["b", "a"], "notes": "# why\n<b>x</b>"}
    made = api.post("/v1/experiments", json=tiny_document | beside).json()
    assert (made["labels"], made["notes"]) == (["a", "b"], "# why\n<b>x</b>")
    path = f"/v1/experiments/{made['id']}"
    changed = api.patch(path, json={"name": "renamed", "labels": ["c"]}).json()
    assert changed == made | {"name": "renamed", "labels": ["c"]}
    assert api.get(f"{path}/report").json()["name"] == "renamed"
    assert api.patch(path, json={}).json() == changed
    cleared = api.patch(path, json={"name": None, "labels": None, "notes": None}).json()
    assert cleared == made | {"labels": [], "notes": ""}
    assert api.get(path).json() == cleared
    for patch, pointer in (({"spec": {}}, "/spec"), ({"name": ""}, "/name"), ({"labels": ["a", "a"]}, "/labels")):
        refused = api.patch(path, json=patch)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert api.patch("/v1/experiments/exp_0", json={}).status_code == 404


def test_a_key_goes_with_what_stands_beside_the_spec(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """The same key with other labels is another request."""
    key = {"Idempotency-Key": "once"}
    first = api.post("/v1/experiments", json=tiny_document | {"labels": ["a"]}, headers=key)
    again = api.post("/v1/experiments", json=tiny_document | {"labels": ["a"]}, headers=key)
    assert first.json()["id"] == again.json()["id"]
    assert api.post("/v1/experiments", json=tiny_document, headers=key).status_code == 422


def test_a_checkpoint_has_labels_and_notes(api: TestClient, trained_run: str) -> None:
    """Changed alike; its weights and name are what they are."""
    (checkpoint, *_) = api.get("/v1/checkpoints", params={"run": trained_run}).json()["data"]
    path = f"/v1/checkpoints/{checkpoint['id']}"
    told = api.patch(path, json={"labels": ["best"], "notes": "kept"}).json()
    assert told == checkpoint | {"labels": ["best"], "notes": "kept"} == api.get(path).json()
    assert api.patch(path, json={"name": "x"}).status_code == 422
