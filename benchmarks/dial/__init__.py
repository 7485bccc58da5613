"""The dial from reward to cross-entropy."""
