"""Generated requests by two callers, a reader and a submitter, against the API with tokens on, under all checks.

The requests come of the API's own schema, valid ones and such as break it in one place, by themselves and in sequences
that use what others answered. A finding is a 5xx, an answer that the schema does not document, a request against the
schema that is accepted or one by it that is not, a method or a missing token that is answered otherwise than it should.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.machine import describe_machine
from benchmarks.serving.served import Served, served
from benchmarks.serving.stored import do_an_experiment
from benchmarks.studies.record import code_commit
from gauntlet.spec.asked.tokens import Scope

CONFIGURATION = Path(__file__).with_name("fuzz.toml")
SCOPES: tuple[Scope, ...] = ("read", "submit")
# What the schema gives as examples; every bound of every field by itself; anything; sequences of requests.
PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True)
class Found:
    """What came of the requests with one scope's token."""

    scope: Scope
    operations: int
    requests: int
    failures: list[dict[str, Any]]
    said: str


def fuzz(api: Served, scope: Scope, *, examples: int, seed: int, phases: Sequence[str] = PHASES) -> Found:
    """Ask for every operation, in some phases with so many generated examples; the same seed asks the same."""
    with tempfile.TemporaryDirectory(prefix="gauntlet-fuzz-") as folder:
        schema, report = Path(folder) / "openapi.json", Path(folder) / "report.json"
        # The first time it is made, which takes seconds of a busy machine.
        answer = httpx2.get(f"{api.url}/openapi.json", headers=api.bearer(scope), timeout=120).raise_for_status()
        schema.write_bytes(answer.content)
        ran = subprocess.run(  # noqa: S603  # our own command
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)),
                *("run", str(schema), "--url", api.url),
                *(
                    "--phases",
                    ",".join(phases),
                    "--max-examples",
                    str(examples),
                    "--seed",
                    str(seed),
                    "--report-json-path",
                    str(report),
                ),
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TOKEN": api.tokens[scope]},
            capture_output=True,
            text=True,
            check=False,
        )
        said = ran.stdout + ran.stderr
        if not report.exists():
            raise RuntimeError(said)
        told = json.loads(report.read_text(encoding="utf-8"))
    assert told["complete"], said
    return Found(scope, told["operations"]["tested"], told["test_cases"]["generated"], told["failures"], said)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and write what came out; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=4, help="generated examples of every operation and caller")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with served() as api:
        do_an_experiment(api.settings)
        found = [fuzz(api, scope, examples=options.examples, seed=options.seed) for scope in SCOPES]
        peak = api.peak_bytes()
    for each in found:
        print(each.said if each.failures else f"{each.scope}: {each.requests} requests, no failure.")
    if options.out is not None:
        callers = [{name: value for name, value in asdict(each).items() if name != "said"} for each in found]
        document = {
            "machine": describe_machine(),
            "commit": code_commit(),
            "examples": options.examples,
            "seed": options.seed,
            "requests": sum(each.requests for each in found),
            "failures": sum(len(each.failures) for each in found),
            "api_peak_bytes": peak,
            "callers": callers,
        }
        options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(any(each.failures for each in found))


if __name__ == "__main__":
    sys.exit(main())
