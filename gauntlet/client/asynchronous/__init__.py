"""The client for programs that await. `gauntlet/client/synchronous` is made from these files, by `make client`."""
