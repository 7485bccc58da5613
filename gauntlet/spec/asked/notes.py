"""What people write beside an experiment or a checkpoint, to find it again: labels and notes. No torch."""

from typing import Annotated

from pydantic import AfterValidator, Field

from gauntlet.spec.reading.lists import Listed
from gauntlet.spec.reading.texts import Matching

# A word or a few, or `key=value`: nothing is read into them.
TagText = Annotated[
    str,
    Field(min_length=1, max_length=80),
    Matching(
        r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$",
        "This must be one line of visible text, without blanks around it.",
    ),
]
Labels = Annotated[
    tuple[TagText, ...],
    Listed(0, 20, distinct=True),
    AfterValidator(lambda labels: tuple(sorted(labels))),
    Field(description="Short texts to find it by, at most 20: `baseline`, `paper=icml`."),
]
Notes = Annotated[
    str,
    Field(max_length=10_000, description="Anything worth knowing, in Markdown; shown as the text that it is."),
    Matching(r"^[^\x00-\x08\x0b-\x1f\x7f]*$", "This text must not hold control characters but line breaks and tabs."),
]
