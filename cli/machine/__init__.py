"""The commands that run a Gauntlet on this machine, look after it, and say how it is set up."""
