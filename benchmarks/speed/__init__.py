"""How fast it trains, attacks and measures, beside others."""
