"""Hostile inputs, one after the other, against an API as it is started by its users; what others wait meanwhile.

A process beside it asks `/healthz` every 10 ms on a connection that stays open, and looks at the memory of the API and
of the processes that it starts for what users send. No input may make `/healthz` wait for 50 ms, nor the API take more
than 700 MB; none may be answered with a 5xx other than 503, or not at all. SQLite holds an experiment of 1,000 runs and
30,000 runs in all; there is no worker, and the senders are on the same machine. What made `/healthz` wait for too long
is sent to a server that does nothing, too: what it waits for there the machine takes, not the service.

One that makes `/healthz` wait for more than 15 ms is sent again, `--times` in all: its line is that of the time with
the longest wait, and tells the longest wait of each. What a file of results has of other inputs at the same commit
stays, so the whole may be measured in parts.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.bad_input.hostile_inputs.connections import connections
from benchmarks.bad_input.hostile_inputs.documents import documents
from benchmarks.bad_input.hostile_inputs.files import files
from benchmarks.bad_input.hostile_inputs.reading import reads
from benchmarks.bad_input.hostile_inputs.sending import Input
from benchmarks.bad_input.watched import Spell, Watch, watching
from benchmarks.machine import describe_machine
from benchmarks.serving.bare import bare
from benchmarks.serving.served import Served, served, weigh_above_others
from benchmarks.serving.stored import add_images, add_runs, copy_experiment, do_an_experiment, queue_an_experiment
from benchmarks.studies.record import code_commit
from gauntlet.client import GauntletClientError

LONGEST_WAIT_MS = 50.0
MOST_BYTES = 700_000_000
_WORTH_REPEATING_MS = 15.0
# The answers of a service that is well; 503 is told with Retry-After.
_WELL = {"200", "201", "202", "204", "304", "503"} | {str(status) for status in range(400, 452)}
# What `connections` has to say beside a status.
_WELL |= {"open", "opened", "closed", "not taken whole"}
_AFTER_S = 0.3


def stored(api: Served, *, runs: int, others: int) -> tuple[str, str, str]:
    """An experiment with so many runs, a thousand that ended and so many runs that wait; three ids to ask for.

    They are the experiment's, that of an evaluation with ten thousand images, and its checkpoint's.
    """
    experiment = do_an_experiment(api.settings)
    copy_experiment(api.settings, experiment, 1_000)
    with api.client() as client:
        evaluation = next(iter(client.evaluations(experiment=experiment)))
    copy_experiment(api.settings, queue_an_experiment(api.settings), others // 10)
    add_runs(api.settings, experiment, runs // 2 - 1)
    add_images(api.settings, evaluation.id, 624)
    return experiment, evaluation.id, evaluation.checkpoint


def inputs(experiment: str, evaluation: str, checkpoint: str) -> Iterator[Input]:
    """All of them, the lightest first."""
    yield Input("nothing", "for 3 s, to see what the machine itself does", lambda _: _wait(3))
    yield from documents(checkpoint, experiment)
    yield from reads(experiment, evaluation, checkpoint)
    yield from connections(f"/v1/experiments/{experiment}/series")
    yield from files(checkpoint)


def _wait(seconds: float) -> Any:
    time.sleep(seconds)
    return {}


def tell(one: Input, answers: Any, spell: Spell, seconds: float) -> dict[str, Any]:
    """One input's line of the result."""
    waits = sorted(spell.waits_ms)
    return {
        "input": one.name,
        "what": one.what,
        "answers": dict(sorted(answers.items())),
        "seconds": round(seconds, 2),
        "asked": len(waits),
        "failures": spell.failures,
        "p50_ms": round(waits[len(waits) // 2], 2),
        "p99_ms": round(waits[min(len(waits) - 1, len(waits) * 99 // 100)], 2),
        "longest_ms": round(waits[-1], 2),
        "woken_late_ms": round(max(spell.woken_late_ms), 2),
        "api_mb": round(spell.api_bytes / 1e6),
        "helpers_mb": round(spell.helpers_bytes / 1e6),
        "together_mb": round(spell.together_bytes / 1e6),
    }


def faults(line: dict[str, Any]) -> list[str]:
    """What is not as it should be while an input is sent."""
    found = []
    if line["longest_ms"] > LONGEST_WAIT_MS:
        found.append(f"/healthz waited {line['longest_ms']} ms")
    if line["failures"]:
        found.append(f"/healthz failed {line['failures']} times")
    if line["api_mb"] * 1e6 > MOST_BYTES:
        found.append(f"the API has {line['api_mb']} MB")
    if strange := set(line["answers"]) - _WELL:
        found.append(f"answered {', '.join(sorted(strange))}")
    return found


def waits_of_bare(one: Input, like: Served, *, ahead: bool) -> float | None:
    """The longest wait in ms of a server that does nothing for the same input; None if the input asks for more."""
    with bare() as (port, pid):
        if ahead:
            weigh_above_others(pid)
        settings = like.settings.model_copy(update={"port": port})
        served_bare = Served(f"http://127.0.0.1:{port}", settings, like.tokens, pid)
        with watching(port, pid) as watch:
            try:
                longest: float = send(served_bare, watch, one)["longest_ms"]
            except GauntletClientError:
                return None
    return longest


def send_again(api: Served, watch: Watch, one: Input, times: int) -> dict[str, Any]:
    """Send one input, so often in all if it holds up others; the line of the worst time, with the faults of all."""
    lines = [send(api, watch, one)]
    while len(lines) < times and lines[0]["longest_ms"] > _WORTH_REPEATING_MS:
        lines.append(send(api, watch, one))
    found = dict.fromkeys(fault for line in lines for fault in faults(line))
    longest = [line["longest_ms"] for line in lines]
    return max(lines, key=itemgetter("longest_ms")) | {"longest_of_each_ms": longest, "faults": list(found)}


def send(api: Served, watch: Watch, one: Input) -> dict[str, Any]:
    """Send one input, and see what it does until a moment after its last answer."""
    watch.look()
    began = time.monotonic()
    answers = one.send(api)
    seconds = time.monotonic() - began
    time.sleep(_AFTER_S)
    return tell(one, answers, watch.look(), seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send them and write what came out; the exit status is 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""], help="only inputs with one of these in their names")
    parser.add_argument("--times", type=int, default=5, help="how often an input is sent that holds up others")
    parser.add_argument("--part", type=_part, default=(1, 1), help="2/3: the second of every three inputs")
    parser.add_argument("--runs", type=int, default=1_000, help="runs of the experiment that is reported")
    parser.add_argument("--others", type=int, default=27_000, help="runs that wait")
    parser.add_argument("--ahead", action="store_true", help="before all that else runs on the machine, as root")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.ahead:
        with contextlib.suppress(PermissionError):  # it leads a session already
            os.setsid()
        weigh_above_others(os.getpid())
    with served() as api:
        if options.ahead:
            weigh_above_others(api.pid)
        ids = stored(api, runs=options.runs, others=options.others)
        about = {"machine": describe_machine(), "commit": code_commit(), "ahead": options.ahead}
        about |= {"runs": options.runs, "others": options.others}
        known = _known(options.out, about)
        lines: dict[str, dict[str, Any]] = {line["input"]: line for line in known.get("inputs", ())}
        loads = [*known.get("loads_before", ()), os.getloadavg()[0]]
        with watching(api.settings.port, api.pid) as watch:
            for number, one in enumerate(inputs(*ids)):
                part, parts = options.part
                if number % parts != part - 1 or not any(words in one.name for words in options.only):
                    continue
                line = send_again(api, watch, one, options.times)
                if line["longest_ms"] > LONGEST_WAIT_MS:
                    line["bare_longest_ms"] = waits_of_bare(one, api, ahead=options.ahead)
                    watch.look()
                lines[one.name] = line
                print(_in_words(line), flush=True)
                if options.out is not None:
                    # Each time, so that what is broken off leaves what it saw.
                    peak = max(api.peak_bytes(), known.get("api_peak_bytes", 0))
                    seen = {"loads_before": loads, "api_peak_bytes": peak}
                    seen["longest_ms"] = max(line["longest_ms"] for line in lines.values())
                    text = json.dumps(about | seen | {"inputs": list(lines.values())}, indent=1, ensure_ascii=False)
                    options.out.write_text(text + "\n", encoding="utf-8")
        print(f"The API has taken {api.peak_bytes() / 1e6:.0f} MB at once.")
    return int(any(line["faults"] for line in lines.values()))


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    return int(part), int(parts)


def _known(out: Path | None, about: dict[str, Any]) -> dict[str, Any]:
    """What was measured before in the same way, at the same commit."""
    if out is None or not out.exists():
        return {}
    known: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return known if about.items() <= known.items() else {}


def _in_words(line: dict[str, Any]) -> str:
    answers = ", ".join(f"{count} × {status}" for status, count in line["answers"].items())
    waits = f"p50 {line['p50_ms']:g}, p99 {line['p99_ms']:g}, max {line['longest_ms']:g} ms"
    waits += f" (woken {line['woken_late_ms']:g} late)"
    mark = "  <-- " + "; ".join(line["faults"]) if line["faults"] else ""
    if "bare_longest_ms" in line:
        mark += f" ({line['bare_longest_ms']} by a server that does nothing)"
    if len(each := line["longest_of_each_ms"]) > 1:
        waits += " of " + ", ".join(f"{ms:.0f}" for ms in each)
    return f"{line['input']}: {answers}; {line['seconds']} s; {waits}; {line['api_mb']} + {line['helpers_mb']} MB{mark}"


if __name__ == "__main__":
    sys.exit(main())
