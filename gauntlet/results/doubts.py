"""Why an accuracy may not mean what it seems to: everything that the checks found, in one form, to stand beside it."""

from collections.abc import Iterable, Iterator, Mapping

from gauntlet.results.finding import Finding, Severity
from gauntlet.results.masking import MaskingVerdict
from gauntlet.results.suspicions import suspicions
from gauntlet.spec.kinds import Spec


class Doubt(Spec):
    """One reason. `kind` names it in a word or two, such as `masked_gradients`; an error makes the model useless."""

    kind: str
    severity: Severity
    sentence: str


def doubts(
    findings: Iterable[Finding], masking: MaskingVerdict | None, metrics: Mapping[str, float] | None = None
) -> tuple[Doubt, ...]:
    """What speaks against one checkpoint's accuracies, the gravest first.

    Args:
        findings: what looked wrong with the model before it was attacked.
        masking: the verdict of the same evaluation, None where it did not look.
        metrics: of the checkpoint's epoch; an imported one has none.
    """
    found = [*_of_masking(masking), *_of_findings(findings), *_of_training(metrics or {})]
    return tuple(sorted(found, key=lambda doubt: doubt.severity != "error"))


def _of_masking(masking: MaskingVerdict | None) -> Iterator[Doubt]:
    if masking is not None and masking.verdict == "SUSPECT":
        seen = " ".join(check.sentence for check in masking.checks if check.result == "suspect")
        yield Doubt(kind="masked_gradients", severity="warning", sentence=f"Its gradients may be masked. {seen}")


def _of_findings(findings: Iterable[Finding]) -> Iterator[Doubt]:
    for finding in findings:
        yield Doubt(kind=finding.kind, severity=finding.severity, sentence=finding.message)


def _of_training(metrics: Mapping[str, float]) -> Iterator[Doubt]:
    if metrics:
        for kind, sentence in suspicions(metrics).items():
            yield Doubt(kind=kind, severity="warning", sentence=sentence)
