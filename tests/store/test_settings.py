"""Settings come from the environment and default to the embedded system's."""

from pathlib import Path

import pytest

from store.settings import StoreSettings


def test_everything_lies_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable moves database, broker, checkpoints and data."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path))
    settings = StoreSettings()
    assert settings.database_url == f"sqlite:///{tmp_path}/gauntlet.db"
    assert settings.broker_url == f"redis+socket://{tmp_path}/broker.sock"
    assert settings.storage == tmp_path / "checkpoints"
    assert settings.data_root == tmp_path / "data"


def test_each_place_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given URL wins over the default; an empty one counts as not given."""
    monkeypatch.setenv("GAUNTLET_DATABASE_URL", "postgresql://db/gauntlet")
    monkeypatch.setenv("GAUNTLET_STORAGE_URL", "file:///srv/checkpoints")
    monkeypatch.setenv("GAUNTLET_BROKER_URL", "")
    settings = StoreSettings()
    assert settings.database_url == "postgresql://db/gauntlet"
    assert settings.storage == Path("/srv/checkpoints")
    assert settings.broker_url.startswith("redis+socket://")


def test_a_home_may_have_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage's URL is decoded to the very folder."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path / "my home"))
    assert StoreSettings().storage == tmp_path / "my home" / "checkpoints"
