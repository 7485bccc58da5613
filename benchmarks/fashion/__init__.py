"""The dial from reward to cross-entropy on a second data set."""
