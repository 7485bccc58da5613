"""What the protocols by name find beside AutoAttack by its package's own loop, and what both cost the processor.

    python -m benchmarks.correctness.protocols autoattack --data-root DATA --weights A.safetensors … \
        --record RECORD.jsonl
    python -m benchmarks.correctness.protocols compare --data-root DATA --weights A.safetensors … \
        --record RECORD.jsonl --out OUT.json

The paper's network with several states of its weights, on CIFAR-10 as a folder of images, a hundred test images at a
time: the first hundred with each state, then the second. The first command attacks with AutoAttack, by the package or
with `--driver` by our own driver, whose flags are the same (`benchmarks/speed/autoattack.py`), sooner; each
hundred is a line of the record as soon as it is done, and is not done again. The second attacks the recorded hundreds
with the protocols, as long as `--within` seconds allow, and compares flags image by image; what it does is recorded
likewise. States named by `--chosen-on` were those that the protocols' parts were chosen on; the others confirm.

`--broken-only` attacks what AutoAttack breaks and nothing else, in a fifth of the time: it finds how many images a
protocol leaves above AutoAttack's, which no other image has a part in, but neither what a protocol alone breaks nor its
seconds. A line "by claim" is AutoAttack on a GPU, from the evaluations of `benchmarks/claim`.

Under L∞ the budget is 8/255, and with `--norm L2` it is 0.5. `--architecture resnet18` takes the catalogue's ResNet-18
in place of the paper's network, and `--at-once` fewer images than a hundred, where each takes long.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import torch
from pyautoattack import AutoAttack
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.machine import describe_machine
from benchmarks.speed.peers import plain_cnn
from gauntlet.data.datasets import ImageSet, load_split
from gauntlet.evaluation.loop import evaluate
from gauntlet.models.architectures import build_model
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.attacks import Norm
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.architectures import Cnn, ResNet

CPU = torch.device("cpu")
PROTOCOLS = ("screen", "fast")
_BROKEN = "broken"
_EPS: Final[Mapping[Norm, str]] = {"Linf": "8/255", "L2": "0.5"}
_ARCHITECTURES: Final[Mapping[str, Cnn | ResNet]] = {"cnn": Cnn(), "resnet18": ResNet()}


@dataclass(frozen=True)
class Setting:
    """Which network is attacked, within what, and how many images at a time."""

    architecture: Literal["cnn", "resnet18"] = "cnn"
    norm: Norm = "Linf"
    at_once: int = 100

    @property
    def budget(self) -> dict[str, str]:
        """As an evaluation names it."""
        return {"eps": _EPS[self.norm], "norm": self.norm}

    def load(self, path: Path) -> nn.Module:
        """The network with a file's weights, in our own layers."""
        model = build_model(_ARCHITECTURES[self.architecture], (3, 32, 32), 10)
        model.load_state_dict(load_file(path))
        return model.eval()

    def cut(self, images: ImageSet, start: int) -> ImageSet:
        """The images that are attacked together, from the one at `start`."""
        return images.at(torch.arange(start, min(start + self.at_once, len(images))))


_PAPERS = Setting()


def main() -> None:
    """Attack with AutoAttack, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["autoattack", "compare"])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--folder", default="cifar10")
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--architecture", choices=list(_ARCHITECTURES), default=_PAPERS.architecture)
    parser.add_argument("--norm", choices=list(_EPS), default=_PAPERS.norm)
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--at-once", type=int, default=_PAPERS.at_once, help="images that are attacked together")
    parser.add_argument("--driver", action="store_true", help="AutoAttack by our driver, without its package's seconds")
    parser.add_argument("--broken-only", action="store_true", help="attack what AutoAttack breaks")
    parser.add_argument("--chosen-on", nargs="*", default=[], help="stems of the weights that were chosen on")
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--within", type=float, default=float("inf"), help="seconds after which no hundred is begun")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    torch.set_num_threads(1)
    test, _ = load_split(ImageFolder(folder=options.folder), "test", options.data_root)
    setting = Setting(options.architecture, options.norm, options.at_once)
    if options.what == "autoattack":
        attack_all(setting, options.weights, test.take(options.samples), options.record, driver=options.driver)
    else:
        images = test.take(options.samples)
        found = compare_all(
            setting,
            options.weights,
            images,
            options.record,
            options.chosen_on,
            within=options.within,
            broken_only=options.broken_only,
        )
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def attack_all(setting: Setting, weights: Sequence[Path], images: ImageSet, record: Path, *, driver: bool) -> None:
    """Append to the record what it lacks."""
    asked = {"attacks": [{"kind": "autoattack", **setting.budget}]}
    done = {(row["weights"], row["start"]) for row in read_record(record) if row["by"] not in PROTOCOLS}
    for start in range(0, len(images), setting.at_once):
        hundred = setting.cut(images, start)
        for path in weights:
            if (path.stem, start) in done:
                continue
            found = under(asked, path, hundred, setting) if driver else by_package(path, hundred, setting)
            note(record, {"weights": path.stem, "start": start, "by": "driver" if driver else "package"} | found)


def note(record: Path, row: Mapping[str, Any]) -> None:
    """Append a line to the record."""
    with record.open("a") as file:
        file.write(json.dumps(row) + "\n")


def read_record(path: Path) -> Iterator[dict[str, Any]]:
    """The hundreds that are done, in the order in which they were."""
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


def by_package(path: Path, images: ImageSet, setting: Setting = _PAPERS) -> dict[str, Any]:
    """Which images withstand the package's standard evaluation, and its seconds of the processor.

    The paper's network is in torch's plain layers, a ResNet-18 in ours.
    """
    model = in_plain_layers(load_file(path)) if setting.architecture == "cnn" else setting.load(path)
    eps = float(Fraction(_EPS[setting.norm]))
    package = AutoAttack(model, norm=setting.norm, eps=eps, version="standard", seed=0, device=CPU)
    started = time.process_time()
    _, predicted = package.run_standard_evaluation(
        images.images.float().div(255).contiguous(), images.labels, batch_size=len(images)
    )
    seconds = time.process_time() - started
    return {"robust": (predicted == images.labels).nonzero().flatten().tolist(), "seconds": round(seconds, 1)}


def in_plain_layers(weights: Mapping[str, Tensor]) -> nn.Module:
    """The network as people write it, in torch's own layers and memory layout."""
    model: nn.Module = plain_cnn().eval()
    ours = (weights[name].contiguous() for name in build_model(Cnn(), (3, 32, 32), 10).state_dict())
    model.load_state_dict(dict(zip(model.state_dict(), ours, strict=True)))
    return model


def under(asked: Mapping[str, Any], path: Path, images: ImageSet, setting: Setting) -> dict[str, Any]:
    """Which images are right naturally and under what an evaluation is asked for, and its seconds of the processor."""
    model = setting.load(path)
    spec = EvaluationSpec.model_validate({**asked, "samples": len(images)})
    robust = torch.ones(len(images), dtype=torch.bool)
    natural = 0
    started = time.process_time()
    for batch in evaluate(model.requires_grad_(requires_grad=False), images, spec, 10, device=CPU):
        robust[list(batch.images)] &= torch.tensor(batch.robust)
        if batch.stage == NATURAL:
            natural = int(robust.sum())
    seconds = time.process_time() - started
    return {"natural": natural, "robust": robust.nonzero().flatten().tolist(), "seconds": round(seconds, 2)}


def under_broken(
    asked: Mapping[str, Any], path: Path, images: ImageSet, setting: Setting, left: Sequence[int]
) -> dict[str, Any]:
    """The same of the images that are not `left`, which then count as left too."""
    broken = torch.tensor(sorted(set(range(len(images))) - set(left)))
    found = under(asked, path, images.at(broken), setting)
    return found | {"of": _BROKEN, "robust": sorted({*left, *broken[found["robust"]].tolist()})}


def compare_all(
    setting: Setting,
    weights: Sequence[Path],
    images: ImageSet,
    record: Path,
    chosen_on: Sequence[str],
    *,
    within: float,
    broken_only: bool,
) -> dict[str, Any]:
    """Recorded hundreds under each protocol; states by themselves, and those chosen on and the others together.

    The first hundred of each state comes before the second.
    """
    ends = time.monotonic() + within
    paths = {path.stem: path for path in weights}
    # The package's line of a hundred after the driver's, and so in its place; one of all images after one of some.
    rows = sorted(read_record(record), key=lambda row: (str(row["by"]), row.get("of") != _BROKEN))
    known = {(row["start"], row["weights"]): row for row in rows if row["by"] not in PROTOCOLS}
    done = {(row["by"], row["start"], row["weights"]): row for row in rows if row["by"] in PROTOCOLS}
    hundreds = []
    for (start, name), row in sorted(known.items()):
        if name in paths and start < len(images):
            hundred = setting.cut(images, start)
            for kind in PROTOCOLS:
                if (kind, start, name) not in done and time.monotonic() < ends:
                    asked = {"protocol": kind, **setting.budget}
                    if broken_only:
                        found = under_broken(asked, paths[name], hundred, setting, row["robust"])
                    else:
                        found = under(asked, paths[name], hundred, setting)
                    done[kind, start, name] = {"weights": name, "start": start, "by": kind} | found
                    note(record, done[kind, start, name])
            ours = {kind: done[kind, start, name] for kind in PROTOCOLS if (kind, start, name) in done}
            if len(ours) < len(PROTOCOLS):
                continue
            hundreds.append({"weights": name, "start": start, "images": len(hundred), "autoattack": row} | ours)
            print(name, start, *(len(hundreds[-1][kind]["robust"]) for kind in ("autoattack", *PROTOCOLS)), flush=True)
    each = {name: summed([one for one in hundreds if one["weights"] == name]) for name in sorted(paths)}
    return {
        "machine": describe_machine(),
        "architecture": setting.architecture,
        **setting.budget,
        "chosen_on": list(chosen_on),
        "states": {name: found for name, found in each.items() if found},
        "chosen": summed([one for one in hundreds if one["weights"] in chosen_on]),
        "others": summed([one for one in hundreds if one["weights"] not in chosen_on]),
        "hundreds": hundreds,
    }


def summed(hundreds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracies in per cent, differences in points, images that one side alone breaks, and shares of the seconds.

    A share is of the package's seconds, over the hundreds that it was timed on.
    """
    if not hundreds:
        return {}
    images = sum(one["images"] for one in hundreds)
    left = _left(hundreds, "autoattack")
    found: dict[str, Any] = {"images": images, "autoattack": round(100 * len(left) / images, 2)}
    for kind in PROTOCOLS:
        ours, whole = _left(hundreds, kind), [one for one in hundreds if one[kind].get("of") != _BROKEN]
        timed = [one for one in whole if one["autoattack"]["by"] == "package"]
        attacked = sum(one["images"] for one in whole)
        found[kind] = {
            "accuracy": round(100 * len(ours) / images, 2),
            "points_above_autoattack": round(100 * (len(ours) - len(left)) / images, 2),
            "broken_by_autoattack_alone": len(ours - left),
            "images_all_attacked": attacked,
            "broken_by_it_alone": len(_left(whole, "autoattack") - _left(whole, kind)),
            "seconds_per_hundred": round(100 * _seconds(whole, kind) / attacked, 2) if whole else None,
            "package_takes_times": round(_seconds(timed, "autoattack") / _seconds(timed, kind), 1) if timed else None,
        }
    return found


def _left(hundreds: Iterable[Mapping[str, Any]], side: str) -> set[tuple[str, int]]:
    return {(one["weights"], one["start"] + image) for one in hundreds for image in one[side]["robust"]}


def _seconds(hundreds: Iterable[Mapping[str, Any]], side: str) -> float:
    return float(sum(one[side]["seconds"] for one in hundreds))


if __name__ == "__main__":
    main()
