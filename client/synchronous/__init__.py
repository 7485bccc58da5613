"""Made from `client/asynchronous` by `make client`: change it there."""
