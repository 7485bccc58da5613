"""Numbers and names as a reader is shown them: per cent to one digit, differences in points, one minus sign (−)."""

from collections.abc import Callable, Sequence

NOTHING = "–"
Interval = tuple[float, float]


def per_cent(value: float | None, interval: Interval | None = None) -> str:
    """A fraction in per cent with its interval, such as `20.1 (17.7 to 22.7)`."""
    if value is None:
        return NOTHING
    return _with_interval(_percent(value), interval, _percent)


def points(value: float | None, interval: Interval | None = None) -> str:
    """A difference of fractions in signed percentage points with its interval, such as `−1.0 (−3.2 to +1.2)`."""
    if value is None:
        return NOTHING
    return _with_interval(signed(100 * value), interval, lambda fraction: signed(100 * fraction))


def signed(value: float) -> str:
    """A number to one digit with its sign; zero has none."""
    written = f"{value:+.1f}".replace("-", "−")
    return "0.0" if written in {"+0.0", "−0.0"} else written


def p_value(p: float | None) -> str:
    """A p to three digits, never a false zero."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"  # noqa: PLR2004  # the last digit shown


def counted(count: int, thing: str) -> str:
    """Such as `1 epoch` and `1,000 epochs`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Such as `FGSM, PGD and Square`."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def selection_title(selection: str) -> str:
    """Such as `best FGSM`, or `last, averaged`."""
    of_weights = selection.removeprefix("average_")
    title = of_weights.replace("_", " ").replace("fgsm", "FGSM")
    return title if of_weights == selection else f"{title}, averaged"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _with_interval(written: str, interval: Interval | None, write: Callable[[float], str]) -> str:
    return written if interval is None else f"{written} ({write(interval[0])} to {write(interval[1])})"
