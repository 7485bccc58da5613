"""Which services are reached through the environment's proxy, and what is said of it."""

import httpx2
import pytest

from gauntlet.client import GauntletClient, GauntletClientError, Unintelligible, Unreachable
from gauntlet.client.proxies import proxy_for
from tests.gauntlet.client.test_http import Answer, answering

# Nothing listens on port 9, and nothing is sent there.
PROXY = "http://me:secret@127.0.0.1:9"
VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("proxy", [PROXY, "socks5://127.0.0.1:9", "nonsense://", "127.0.0.1:9"])
@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy", "ALL_PROXY"])
def test_loopback_is_never_proxied(monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str) -> None:
    """Whatever proxy the environment names, a service on this machine is asked itself."""
    monkeypatch.setenv(variable, proxy)
    with answering(Answer(), Answer()) as (url, seen):
        for address in (url, url.replace("127.0.0.1", "localhost")):
            with GauntletClient(address) as client:
                assert list(client.experiments()) == []
    assert len(seen) == 2


@pytest.mark.parametrize(
    "host", ["localhost", "api.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"]
)
def test_these_are_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Names and addresses that mean this machine, in both families."""
    monkeypatch.setenv("all_proxy", PROXY)
    assert proxy_for(httpx2.URL(f"http://{host}:8000")) is None


@pytest.mark.parametrize(
    ("no_proxy", "proxied"),
    [
        ("", True),
        ("*", False),
        ("lab.example", False),
        (".example", False),
        ("*.example", False),
        ("gpu.lab.example:8000", False),
        ("gpu.lab.example:8001", True),
        ("notlab.example, ab.example,,", True),
        ("other.org, LAB.example", False),
    ],
)
def test_no_proxy_lists_exceptions(monkeypatch: pytest.MonkeyPatch, no_proxy: str, proxied: bool) -> None:
    """A host goes past the proxy by its name, a domain above it, or its name with its port."""
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (proxy_for(httpx2.URL("http://gpu.lab.example:8000")) is not None) is proxied


@pytest.mark.parametrize(
    ("no_proxy", "proxied"), [("10.1.0.0/16", False), ("10.2.0.0/16", True), ("10.1.2.3", False), ("10.1.2.30", True)]
)
def test_no_proxy_lists_networks(monkeypatch: pytest.MonkeyPatch, no_proxy: str, proxied: bool) -> None:
    """An address goes past it by itself or by a network that holds it."""
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (proxy_for(httpx2.URL("http://10.1.2.3:8000")) is not None) is proxied


def test_a_remote_service_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers through it is the service's answer; what fails, or is no Gauntlet's, names the proxy."""
    with answering(Answer(), Answer(status=403, body=b"forbidden")) as (proxy, seen):
        monkeypatch.setenv("http_proxy", proxy)
        with GauntletClient("http://gpu.lab.example:8000") as client:
            assert list(client.experiments()) == []
            with pytest.raises(Unintelligible, match=f"the proxy {proxy} "):
                list(client.experiments())
    assert len(seen) == 2
    with (
        GauntletClient("http://gpu.lab.example:8000") as client,
        pytest.raises(Unreachable, match=f"through the proxy {proxy} "),
    ):
        client._http.send("GET", "/v1/runs", pauses_s=())


def test_a_client_of_its_own_service_is_told_to_go_past_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gauntlet up` on the machine's own address in the network asks that address itself."""
    monkeypatch.setenv("http_proxy", PROXY)
    with answering(Answer()) as (url, seen):
        monkeypatch.setattr("gauntlet.client.proxies.is_loopback", lambda _host: False)
        with GauntletClient(url, proxied=False) as client:
            assert list(client.experiments()) == []
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("proxy", "said"),
    [("socks5://127.0.0.1:9", "socksio"), ("socks4://me:secret@h", "cannot be used"), ("http://h:x", "cannot be used")],
)
def test_a_proxy_that_cannot_be_used_is_a_sentence(monkeypatch: pytest.MonkeyPatch, proxy: str, said: str) -> None:
    """No traceback, and no password."""
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(GauntletClientError, match=said) as told:
        GauntletClient("http://gpu.lab.example:8000")
    assert "secret" not in str(told.value)
