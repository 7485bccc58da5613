"""The client for programs that await. `client/synchronous` is made from these files, by `make client`."""
