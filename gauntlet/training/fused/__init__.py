"""The runs of an experiment as one program."""
