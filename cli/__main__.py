"""`python -m cli`: the `gauntlet` command."""

from cli.commands import app

if __name__ == "__main__":
    app()
