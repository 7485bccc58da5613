"""How a run trains: its network, objective and adversary, and all that goes with them. No torch."""
