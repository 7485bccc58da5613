"""A request that classifies, and what its answer says."""

from typing import Any

from fastapi.testclient import TestClient


def post(api: TestClient, checkpoints: list[str], *contents: bytes, name: str = "picture.png") -> Any:
    files = [("image", (name, content, "image/png")) for content in contents]
    return api.post("/v1/classifications", files=files, data={"checkpoint": checkpoints})


def probabilities(answer: Any) -> dict[str, float]:
    assert answer.status_code == 200, answer.text
    return {item["label"]: item["probability"] for item in answer.json()["data"][0]["probabilities"]}
