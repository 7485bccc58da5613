"""The tables of a report, each of one kind of finding."""
