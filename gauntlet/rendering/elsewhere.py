"""A result that was measured elsewhere, for readers and programs; each form says so."""

from collections.abc import Iterator
from typing import Literal, assert_never

from gauntlet.rendering import csv, markdown, tables
from gauntlet.rendering.tables import Table
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.elsewhere import ELSEWHERE, ElsewhereResult
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.eps import format_eps
from gauntlet.spec.evaluations.attack_titles import attack_name
from gauntlet.spec.evaluations.attacks import attack_label

ElsewhereFormat = Literal["json", "md", "csv"]
MEDIA_TYPES: dict[ElsewhereFormat, str] = {"json": "application/json", "md": "text/markdown", "csv": "text/csv"}
_HEADER = ("name", "source", "measured", *csv.ACCURACY_HEADER)


def render_elsewhere(result: ElsewhereResult, format: ElsewhereFormat) -> str:
    """The whole result in one of the formats."""
    match format:
        case "json":
            return result.model_dump_json(indent=2) + "\n"
        case "md":
            return "\n".join(_markdown(result)) + "\n"
        case "csv":
            return csv.written([_HEADER, *_csv(result)])
        case _:
            assert_never(format)


def _markdown(result: ElsewhereResult) -> Iterator[str]:
    outcome = result.outcome
    yield from (f"# {markdown.escape(result.name)}", "", f"**{markdown.escape(ELSEWHERE.sentence)}**", "")
    if result.source:
        yield from (f"Source: {markdown.escape(result.source)}", "")
    protocol = outcome.natural_protocol
    yield markdown.escape(
        f"Accuracies on {outcome.natural.n:,} test images of {protocol.dataset}, in per cent with 95 % intervals."
    )
    lines = [
        ("without an attack", outcome.natural),
        *((attack_name(each.attack), each.accuracy) for each in outcome.attacks),
    ]
    table = Table.of([*tables.words("attack"), *tables.numbers("accuracy")], lines, _line)
    yield from ("", *markdown.table_lines(table))
    if others := [doubt for doubt in result.doubts if doubt != ELSEWHERE]:
        yield from ("", *(f"- {markdown.escape(doubt.sentence)}" for doubt in others))


def _line(measured: tuple[str, Accuracy]) -> list[str | tables.Cell]:
    name, accuracy = measured
    return [name, tables.accuracy(accuracy.value, accuracy.interval)]


def _csv(result: ElsewhereResult) -> Iterator[tuple[object, ...]]:
    outcome = result.outcome
    verdict = outcome.masking.verdict if outcome.masking else ""
    about = (result.name, result.source, result.measured)
    beside = (outcome.weights_sha256, verdict, " ".join(doubt.kind for doubt in result.doubts))

    def line(attack: tuple[str, str, str], accuracy: Accuracy, protocol: str, fingerprint: str) -> tuple[object, ...]:
        return (*about, *attack, accuracy.value, *accuracy.interval, accuracy.n, protocol, fingerprint, *beside)

    yield line((NATURAL, "", ""), outcome.natural, outcome.natural_protocol.id, outcome.natural_fingerprint)
    for each in outcome.attacks:
        attack = attack_label(each.attack), each.attack.norm, format_eps(each.attack.eps)
        yield line(attack, each.accuracy, each.protocol.id, each.fingerprint)
