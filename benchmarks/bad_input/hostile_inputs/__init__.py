"""What a service may be sent by somebody who means ill, or does not know better: by what is hostile in it."""
