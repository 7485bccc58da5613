"""A description of a data set in words: for events, reports and the terminal."""

from collections.abc import Iterator, Mapping, Sequence

from gauntlet.checks.description import DatasetDescription, Repeated, Skipped, SplitDescription
from gauntlet.checks.names import counted, listed, shown
from gauntlet.spec.kinds import Fit

_LISTED_CLASSES = 10
_FITTED: Mapping[Fit, str] = {
    "stretch": "stretched to a square",
    "crop": "cropped to the square in the middle",
    "pad": "padded to a square with black",
}


def describe(found: DatasetDescription) -> tuple[str, ...]:
    """What was read, a sentence each: counts, what was drawn, passed over, repeated, made square or cut."""
    return tuple(_sentences(found))


def doubts(found: DatasetDescription) -> tuple[str, ...]:
    """What of it makes numbers suspect."""
    if found.in_both is None or not found.in_both.images:
        return ()
    again = f"{counted(found.in_both.images, 'test image')} {_are(found.in_both)} also among the training images"
    return (f"{again} ({_examples(found.in_both)}): accuracy on the test set is flattered.",)


def passed_over(skipped: Sequence[Skipped]) -> str:
    """What was passed over and why, such as `2 hidden (a/.b.png, a/._c.png)`."""
    return "; ".join(f"{each.entries:,} {each.reason} ({_and_more(each.examples, each.entries)})" for each in skipped)


def _sentences(found: DatasetDescription) -> Iterator[str]:
    splits = [(name, split) for name, split in (("training", found.train), ("test", found.test)) if split is not None]
    if splits:
        yield f"{found.dataset}: {'; '.join(_counts(name, split) for name, split in splits)}."
    for name, split in splits:
        yield from _of_split(name, split, found.fit)
    yield from doubts(found)
    if found.unused:
        yield f"Not read: {listed(found.unused)}, beside the folders train and test."
    yield from found.notes


def _counts(name: str, split: SplitDescription) -> str:
    classes = counted(len(split.classes), "class", "classes")
    return f"{counted(split.images, f'{name} image')} of {classes} ({_spread(split)})"


def _spread(split: SplitDescription) -> str:
    """How the images are shared among the classes."""
    if len(split.classes) <= _LISTED_CLASSES:
        return ", ".join(f"{shown(each.name)}: {each.images:,}" for each in split.classes)
    few = min(split.classes, key=lambda each: each.images)
    many = max(split.classes, key=lambda each: each.images)
    if few.images == many.images:
        return f"{few.images:,} each"
    return f"from {few.images:,} of {shown(few.name)} to {many.images:,} of {shown(many.name)}"


def _of_split(name: str, split: SplitDescription, fit: Fit) -> Iterator[str]:
    if split.skipped:
        yield f"Passed over among the {name} images: {passed_over(split.skipped)}."
    if split.read is None:
        return
    if split.read.images < split.images:
        yield f"{split.read.images:,} of the {name} images are drawn."
    if split.read.not_square:
        oblong = counted(split.read.not_square, f"{name} image")
        yield f"{oblong} {_is(split.read.not_square)} not square: {_FITTED[fit]}."
    if split.read.levels_cut:
        yield f"Levels outside 0…255 were cut in {counted(split.read.levels_cut, f'{name} image')}."
    if split.read.repeated.images:
        again = split.read.repeated
        repeats = "repeats" if again.images == 1 else "repeat"
        yield f"{counted(again.images, f'{name} image')} {repeats} another one, byte for byte ({_examples(again)})."


def _examples(repeated: Repeated) -> str:
    return _and_more(repeated.examples, repeated.images)


def _and_more(examples: tuple[str, ...], entries: int) -> str:
    rest = entries - len(examples)
    return ", ".join(examples) + (f" and {rest:,} more" if rest > 0 else "")


def _are(repeated: Repeated) -> str:
    return _is(repeated.images)


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
