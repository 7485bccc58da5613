"""What a user asks for: frozen values, one from the request to the checkpoint. No torch."""
