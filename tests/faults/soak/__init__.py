"""An hour of a whole system in use, any of whose processes is killed or stopped every 20 seconds (`make soak`)."""
