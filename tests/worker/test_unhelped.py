"""For how long a worker leaves an evaluation alone in which it was of no use."""

from worker.unhelped import Unhelped


def test_an_evaluation_is_barred_for_ten_minutes() -> None:
    """From the last fault on; then it is tried again."""
    now = 0.0
    unhelped = Unhelped(lambda: now)
    unhelped.add("one")
    now = 300.0
    unhelped.add("two")
    assert unhelped.ids() == ("one", "two")
    now = 600.0
    assert unhelped.ids() == ("two",)
    unhelped.add("two")
    now = 1_199.0
    assert unhelped.ids() == ("two",)
    now = 1_200.0
    assert unhelped.ids() == ()


def test_no_more_than_a_hundred_are_barred() -> None:
    """Of more the longest barred are tried again."""
    unhelped = Unhelped(lambda: 0.0)
    for number in range(150):
        unhelped.add(str(number))
    unhelped.add("60")
    assert unhelped.ids() == (*(str(number) for number in range(50, 150) if number != 60), "60")
