"""Addresses that clients register: what each kind of them may look like (R1, RFC 6749 section 3.1.2, RFC 8252)."""

import re
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

MAX_URI = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986: nothing that a browser or a library would rewrite on the way may stand in an address.
URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+\-]*(\.[a-z0-9+\-]+)+")
HOST_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*", re.IGNORECASE
)


def split_uri(value: object) -> SplitResult | None:
    """The parts of an absolute URI, or None where it is not one, byte for byte."""
    if not isinstance(value, str) or len(value) > MAX_URI or not URI_CHARACTERS.fullmatch(value):
        return None
    if BROKEN_ESCAPE.search(value):
        return None
    try:
        parts = urlsplit(value)
        # The port is read lazily and raises when it is no number.
        return parts if parts.scheme and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def host_of(value: str) -> str:
    """The host in lower case, without port; "" where there is none."""
    parts = split_uri(value)
    return (parts.hostname or "") if parts else ""


def origin_of(value: str) -> str:
    """Scheme, host and port, as a browser's `form-action` names them; for a private-use scheme, `scheme:`."""
    parts = split_uri(value)
    if parts is None:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} else f"{parts.scheme}:"


def web_origin_of(value: str) -> str | None:
    """The origin as a browser's script names it (RFC 6454 sections 4 and 6.2); None for a private-use scheme."""
    parts = split_uri(value)
    if parts is None or parts.scheme not in DEFAULT_PORTS or parts.hostname is None:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def scheme_of(value: str) -> str:
    """The scheme in lower case; "" where it is no URI."""
    parts = split_uri(value)
    return parts.scheme if parts else ""


def is_loopback(host: str) -> bool:
    """Whether the host never leaves the machine (RFC 6761 section 6.3, RFC 8252 section 7.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_for_tests(host: str) -> bool:
    """Whether the host is out of the public's reach: loopback, a private address (RFC 1918, RFC 4193), a name under
    .test (RFC 6761)."""
    if is_loopback(host) or host.endswith(".test"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in PRIVATE)


def is_host(host: str) -> bool:
    """Whether the host is a name or an IP address (so: no wildcard, no empty label)."""
    try:
        ip_address(host)
    except ValueError:
        return HOST_NAME.fullmatch(host) is not None
    return True


def problem_of_uri(value: object) -> str | None:
    """What is wrong with it as any address at all, or None."""
    parts = split_uri(value)
    if parts is None:
        return "must be an absolute URI."
    if "#" in str(value):
        return "must not have a fragment."
    if "@" in parts.netloc:
        return "must not hold a user name or password."
    if parts.scheme in {"http", "https"} and not is_host(parts.hostname or ""):
        return "must name a host, and no wildcard."
    return None


def problem_of_web_uri(value: object, *, loopback_http: bool) -> str | None:
    """What is wrong with an address that is reached over the network: https, or http at a test's where allowed."""
    problem = problem_of_uri(value)
    if problem:
        return problem
    parts = urlsplit(str(value))
    if parts.scheme == "https" or (parts.scheme == "http" and loopback_http and is_for_tests(parts.hostname or "")):
        return None
    return "must use https."


def problem_of_redirect_uri(value: object, application_type: str, *, loopback_http: bool) -> str | None:
    """OpenID Connect Registration section 2 (`application_type`), RFC 8252 sections 7.1, 7.3, RFC 9700 2.1."""
    problem = problem_of_uri(value)
    if problem:
        return problem
    parts = urlsplit(str(value))
    loopback = is_loopback(parts.hostname or "")
    if parts.scheme == "https":
        if application_type == "web" and loopback and not loopback_http:
            return "must not lead to the citizen's own machine."
        return None
    if parts.scheme == "http":
        if (loopback and application_type == "native") or (loopback_http and is_for_tests(parts.hostname or "")):
            return None
        return "must use https."
    if application_type != "native":
        return "must use https."
    if not PRIVATE_SCHEME.fullmatch(parts.scheme):
        return "must use a scheme that is a reversed domain name, such as org.example.app."
    return None
