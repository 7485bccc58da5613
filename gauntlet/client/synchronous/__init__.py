"""Made from `gauntlet/client/asynchronous` by `make client`: change it there."""
