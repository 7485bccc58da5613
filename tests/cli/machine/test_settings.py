"""Settings of all processes: which there are, what is refused, and where."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import gauntlet
import service.__main__ as api
import worker.__main__ as worker_process
from cli.commands import app
from cli.machine.setting_list import as_markdown, listed_settings
from gauntlet.client import GauntletClient, GauntletClientError
from gauntlet.client.settings import ClientSettings
from gauntlet.settings import NAMES, Settings, SettingsInvalid
from service.settings import ServiceSettings
from store.settings import StoreSettings
from worker.settings import WorkerSettings

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"


def test_every_process_knows_the_names_of_all() -> None:
    """`gauntlet.settings.NAMES` is the fields of all settings."""
    fields = {name.upper() for name in (each.name for each in listed_settings())}
    assert sorted(NAMES) == sorted(fields)


def test_the_page_lists_every_setting_as_it_is() -> None:
    """docs/settings.md holds what `gauntlet settings --markdown` prints, with a meaning for each."""
    assert as_markdown() in DOCS.read_text()
    assert all(each.meaning.endswith(".") for each in listed_settings())


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("GAUNTLET_PORT", "abc", "GAUNTLET_PORT must be a whole number from 0 to 65535, not 'abc'."),
        ("GAUNTLET_PORT", "65536", "GAUNTLET_PORT must be a whole number from 0 to 65535, not '65536'."),
        ("gauntlet_port", "1.5", "GAUNTLET_PORT must be a whole number from 0 to 65535, not '1.5'."),
        ("GAUNTLET_PORT", "tcp://10.0.0.1:80", "GAUNTLET_PORT must be a whole number from 0 to 65535, not 'tcp:"),
        ("GAUNTLET_WORKER_SLOTS", "1000", "GAUNTLET_WORKER_SLOTS must be a whole number from 1 to 64, not '1000'."),
        ("GAUNTLET_LEASE_S", "nan", "GAUNTLET_LEASE_S must be a number of seconds above 0, at most"),
        ("GAUNTLET_SWEEP_S", "1e300", "GAUNTLET_SWEEP_S must be a number of seconds above 0, at most"),
        ("GAUNTLET_HEARTBEAT_S", "20", "GAUNTLET_HEARTBEAT_S (20) must be shorter than GAUNTLET_LEASE_S (15)."),
        ("GAUNTLET_DEVICE", "gpu", "GAUNTLET_DEVICE must be auto, cpu, cuda or cuda:N, not 'gpu'."),
        ("GAUNTLET_WORKER_NAME", "a b", "GAUNTLET_WORKER_NAME must be text without spaces, at most 200 long, not"),
        ("GAUNTLET_HOME", "~nobody-of-this-name/x", "GAUNTLET_HOME begins with the home of a user whom there is not."),
        ("GAUNTLET_DATABASE_URL", "mysql://me:secret@db/x", "GAUNTLET_DATABASE_URL must be a database as sqlite:///"),
        ("GAUNTLET_DATABASE_URL", "sqlite:///:memory:", "GAUNTLET_DATABASE_URL must be a database as sqlite:///"),
        (
            "GAUNTLET_DATABASE_PASSWORD_FILE",
            "/etc/hostname",
            "GAUNTLET_DATABASE_PASSWORD_FILE goes with a GAUNTLET_DATABASE_URL of PostgreSQL that names a user",
        ),
        ("GAUNTLET_BROKER_URL", "amqp://me:secret@queue", "GAUNTLET_BROKER_URL must be a broker as redis://"),
        (
            "GAUNTLET_STORAGE_URL",
            "s3:///prefix",
            "GAUNTLET_STORAGE_URL must be a folder as file:///path or a bucket as s3://bucket/prefix.",
        ),
        ("GAUNTLET_STORAGE_URL", "s3://bucket?key=secret", "GAUNTLET_STORAGE_URL must be a folder as file:///path or"),
        ("GAUNTLET_STORAGE_URL", "file://var/x", "GAUNTLET_STORAGE_URL must be a folder as file:///path or"),
        ("GAUNTLET_ALLOWED_HOSTS", "a b,http://c", "GAUNTLET_ALLOWED_HOSTS must be names of hosts"),
        ("GAUNTLET_URL", "localhost:8000", "GAUNTLET_URL must be an address as http://host:port."),
        ("GAUNTLET_TOKEN", "secret\n", "GAUNTLET_TOKEN must be printable characters without spaces."),
        (
            "GAUNTLET_WORKER_SLOT",
            "1",
            "GAUNTLET_WORKER_SLOT is no setting of Gauntlet; did you mean GAUNTLET_WORKER_SL",
        ),
        ("gauntlet_prot", "1", "gauntlet_prot is no setting of Gauntlet; did you mean GAUNTLET_PORT?"),
        (
            "GAUNTLET_MAX_UPLOAD",
            "1",
            "GAUNTLET_MAX_UPLOAD is no setting of Gauntlet; did you mean GAUNTLET_MAX_UPLOAD_B",
        ),
        ("GAUNTLET_", "1", "GAUNTLET_ is no setting of Gauntlet; `gauntlet settings` lists those there are."),
        ("GAUNTLET_QQQQQQQQQ", "1", "GAUNTLET_QQQQQQQQQ is no setting of Gauntlet; `gauntlet settings` lists those"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variable and what is allowed, and shows no password."""
    monkeypatch.setenv(variable, value)
    said = refusals()
    assert said
    for message in said:
        assert message.startswith(sentence)
        assert "secret" not in message
        assert "\n" not in message


def refusals() -> set[str]:
    """What the processes say that do not take the environment."""
    found = set()
    for kind in (ServiceSettings, WorkerSettings, ClientSettings):
        try:
            kind.from_environment()
        except SettingsInvalid as error:
            found.add(str(error))
    return found


@pytest.mark.parametrize("kind", [StoreSettings, ServiceSettings, WorkerSettings, ClientSettings])
def test_all_faults_are_told_at_once_by_every_process(kind: type[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name misspelt for another process is refused here too; two of them come together."""
    monkeypatch.setenv("GAUNTLET_LEAS_S", "15")
    monkeypatch.setenv("GAUNTLET_TOKN", "x")
    with pytest.raises(SettingsInvalid, match=r"GAUNTLET_LEAS_S is no .*GAUNTLET_TOKN is no "):
        kind.from_environment()


def test_what_kubernetes_sets_is_not_taken_for_a_misspelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside services called `gauntlet-api` and `gauntlet` every pod has such variables; an empty one is not set."""
    monkeypatch.setenv("GAUNTLET_API_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("GAUNTLET_API_PORT_8000_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("GAUNTLET_SERVICE_PORT", "8000")
    monkeypatch.setenv("GAUNTLET_PORT", "")
    assert refusals() == set()


def test_every_entrance_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """API, worker, every command and the client in a program: each ends with the sentence, none with a traceback."""
    monkeypatch.setenv("GAUNTLET_PROT", "8001")
    sentence = "GAUNTLET_PROT is no setting of Gauntlet; did you mean GAUNTLET_PORT?"
    for main in (api.main, worker_process.main):
        with pytest.raises(SystemExit) as ended:
            main()
        assert str(ended.value) == sentence
    for command in (["up"], ["demo"], ["migrate"], ["settings"], ["experiments"], ["submit", "quickstart"]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 1
        assert " ".join(result.stderr.split()) == sentence
    with pytest.raises(GauntletClientError, match="did you mean GAUNTLET_PORT"):
        GauntletClient("http://127.0.0.1:1")


def test_a_process_is_told_nothing_by_arguments() -> None:
    """API and worker refuse them: a port that was named in vain would be taken for the one that is used."""
    for main in (api.main, worker_process.main):
        with pytest.raises(SystemExit, match=r"'--port' is nothing that this process takes.*such as GAUNTLET_PORT;"):
            main(["--port", "9000"])


def test_a_setting_in_two_spellings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless both say the same, or one is empty."""
    monkeypatch.setenv("GAUNTLET_PORT", "8001")
    monkeypatch.setenv("gauntlet_port", "8002")
    assert refusals() == {"GAUNTLET_PORT and gauntlet_port are one setting with two values; unset all but one."}
    for harmless in ("8001", ""):
        monkeypatch.setenv("gauntlet_port", harmless)
        assert refusals() == set()


@pytest.mark.parametrize("command", ["up", "demo"])
def test_the_supervisor_looks_at_its_workers_settings_too(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot start is told of at once, and not in a log while it is started again and again."""
    monkeypatch.setenv("GAUNTLET_WORKER_SLOTS", "1000")
    result = CliRunner().invoke(app, [command])
    assert result.exit_code == 1
    assert "GAUNTLET_WORKER_SLOTS must be a whole number from 1 to 64" in " ".join(result.stderr.split())


def test_the_command_lists_settings_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are in this shell."""
    monkeypatch.setenv("GAUNTLET_DATABASE_URL", "postgresql://me:hunter2@db/gauntlet")
    monkeypatch.setenv("GAUNTLET_TOKEN", "hunter2")
    monkeypatch.setenv("GAUNTLET_LEASE_S", "7.5")
    said = CliRunner().invoke(app, ["settings"]).stdout
    assert "GAUNTLET_DATABASE_URL=postgresql://me:***@db/gauntlet\n" in said
    assert "GAUNTLET_LEASE_S=7.5\n" in said
    assert "hunter2" not in said


def test_the_command_tells_its_version() -> None:
    """With `--version`, before any command."""
    assert CliRunner().invoke(app, ["--version"]).stdout == f"gauntlet {gauntlet.__version__}\n"
