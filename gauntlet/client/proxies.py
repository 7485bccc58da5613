"""Which proxy a service is reached through: the environment's, but never one for this machine itself.

`http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` are read once, as curl reads them, and not by the HTTP library:
an error can then say which of them it came through.
"""

import ipaddress
from urllib.request import getproxies

import httpx2

from gauntlet.client.errors import GauntletClientError

_PORTS = {"http": 80, "https": 443}


def proxy_for(url: httpx2.URL) -> httpx2.Proxy | None:
    """The proxy that the environment names for this address, None for loopback and for what `no_proxy` lists.

    Raises:
        GauntletClientError: it names one that cannot be used.
    """
    if is_loopback(url.host):
        return None
    named = getproxies()
    address = named.get(url.scheme) or named.get("all")
    if not address or _is_excepted(url, named.get("no", "")):
        return None
    try:
        return httpx2.Proxy(address if "://" in address else f"http://{address}")
    except (ValueError, httpx2.InvalidURL) as error:
        # Not repeated as it stands: it may hold a password.
        raise GauntletClientError(
            f"The proxy that the environment names for {url} cannot be used: it must look like http://host:3128."
        ) from error


def is_loopback(host: str) -> bool:
    """Whether an address's host is this machine by definition: localhost, 127.0.0.0/8, ::1, or no address at all."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback or (mapped or address).is_unspecified


def _is_excepted(url: httpx2.URL, listed: str) -> bool:
    """Whether `no_proxy` lists the host: by its name, a domain above it, its address or a network that holds that."""
    named = {url.host, f"{url.host}:{url.port or _PORTS.get(url.scheme)}"}
    for part in listed.lower().replace(" ", "").split(","):
        domain = part.lstrip("*").lstrip(".")
        if part == "*" or any(name == domain or (domain and name.endswith(f".{domain}")) for name in named):
            return True
        if _holds(part.strip("[]"), url.host):
            return True
    return False


def _holds(network: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
