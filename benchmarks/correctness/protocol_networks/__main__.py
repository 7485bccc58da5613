"""Train a spec's one network and keep its weights, to try the protocols by name on.

    python -m benchmarks.correctness.protocol_networks SPEC.yaml --data-root DATA [--begin-with WEIGHTS] --to FOLDER

One thread. The weights are written after every epoch, as `FOLDER/<the spec's name>.safetensors`, and beside them, as
`.json`, what training measured.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.machine import describe_machine
from gauntlet import (
    CheckpointCard,
    CheckpointReady,
    Dataset,
    EpochFinished,
    ExperimentSpec,
    Trained,
    encode_weights,
    load_dataset,
    train,
)
from gauntlet.spec.reading.files import read_file

_TEST_IMAGES = 1_000


def main() -> None:
    """Train, and write what there is after every epoch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--begin-with", type=Path, help="weights that training starts from")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(1)
    spec = ExperimentSpec.model_validate(read_file(options.spec, ExperimentSpec).fields)
    loaded = load_dataset(spec.dataset, options.data_root)
    data = Dataset(loaded.train, loaded.test.take(_TEST_IMAGES), loaded.classes)
    begun = load_file(options.begin_with) if options.begin_with else None
    ((_, run),) = spec.runs()
    epochs = []
    started = time.process_time()
    for event in train(run, data, device="cpu", initial_weights=begun):
        if isinstance(event, EpochFinished):
            epochs.append({"epoch": event.epoch, "seconds": round(time.process_time() - started)} | event.metrics)
            print(epochs[-1], flush=True)
        elif isinstance(event, CheckpointReady):
            card = CheckpointCard(
                architecture=run.architecture,
                normalisation=run.normalisation,
                dataset=run.dataset,
                classes=data.classes,
                image_shape=data.image_shape,
                origin=Trained(spec=run, epoch=event.epoch),
            )
            (options.to / f"{spec.name}.safetensors").write_bytes(encode_weights(event.state.model, card))
            told = {"machine": describe_machine(), "epochs": epochs}
            (options.to / f"{spec.name}.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
