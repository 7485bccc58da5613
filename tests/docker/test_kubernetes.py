"""The manifests for Kubernetes: what a cluster would accept, and what our processes accept of it."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from service.settings import ServiceSettings
from tests.docker.composed import PREFIX, services_of, variables_of
from worker.settings import WorkerSettings

MANIFESTS = Path(__file__).parents[2] / "docker/kubernetes/gauntlet.yaml"
ITEMS: list[dict[str, Any]] = yaml.safe_load(MANIFESTS.read_text())["items"]
VERSION = "1.34"
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def pods() -> dict[str, dict[str, Any]]:
    """What a pod of each workload is to be."""
    workloads = [item for item in ITEMS if item["kind"] in ("Deployment", "Job")]
    return {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in workloads}


def environment(pod: dict[str, Any]) -> dict[str, str]:
    """The variables of its only container that have a value here; those of the ConfigMap too."""
    (container,) = pod["containers"]
    shared = next(item["data"] for item in ITEMS if item["kind"] == "ConfigMap") if "envFrom" in container else {}
    return shared | {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}


def mounted_secrets(pod: dict[str, Any]) -> set[str]:
    """Where its only container finds what is secret."""
    (container,) = pod["containers"]
    at = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    secrets = [volume for volume in pod["volumes"] if "secret" in volume]
    return {f"{at[each['name']]}/{item['path']}" for each in secrets for item in each["secret"]["items"]}


def test_every_object_follows_its_schema() -> None:
    """Strictly: a field that Kubernetes does not know is a fault."""
    for item in ITEMS:
        kubernetes_validate.validate(item, VERSION, strict=True)


def test_our_processes_take_their_settings() -> None:
    """Every GAUNTLET_ variable is a setting of who reads it, with a value that it takes."""
    for name, pod in pods().items():
        if name == "gauntlet-broker":
            continue
        settings = WorkerSettings if "worker" in name else ServiceSettings
        given = {key: value for key, value in environment(pod).items() if key.startswith(PREFIX)}
        assert set(given) <= variables_of(settings), name
        assert given.pop("GAUNTLET_DATABASE_PASSWORD_FILE") in mounted_secrets(pod)
        settings.model_validate({key.removeprefix(PREFIX).lower(): value for key, value in given.items()})


def test_no_pod_is_more_than_it_needs_to_be() -> None:
    """None is root, gains privileges, writes to its image, or may speak to the cluster; each has its memory bounded."""
    for name, pod in pods().items():
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        confined = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["securityContext"] == confined, name
        assert name == "gauntlet-migrate" or "memory" in container["resources"]["limits"], name
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes, name


def test_the_broker_is_the_composed_one() -> None:
    """By the same digest: a newer image is taken in both places or in neither."""
    (broker,) = pods()["gauntlet-broker"]["containers"]
    assert broker["image"] == services_of()["redis"]["image"]


def test_what_is_referred_to_is_there() -> None:
    """Claims and services by their names, pods by their labels."""
    claims = {item["metadata"]["name"] for item in ITEMS if item["kind"] == "PersistentVolumeClaim"}
    volumes = [volume for pod in pods().values() for volume in pod.get("volumes", ())]
    mounted = [volume["persistentVolumeClaim"] for volume in volumes if "persistentVolumeClaim" in volume]
    assert {claim["claimName"] for claim in mounted} == claims
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in ITEMS if item["kind"] == "Deployment"]
    for item in ITEMS:
        if item["kind"] == "Service":
            assert item["spec"]["selector"] in labels
    services = {item["metadata"]["name"] for item in ITEMS if item["kind"] == "Service"}
    assert "gauntlet-broker" in services
    assert environment(pods()["gauntlet-service"])["GAUNTLET_BROKER_URL"] == "redis://gauntlet-broker:6379/0"
