"""Which host names and addresses mean this machine and no other."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine, whatever a resolver says of it."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
