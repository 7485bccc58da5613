"""What is asked for, held against the data and the checkpoints it names: values and sentences, no torch."""
