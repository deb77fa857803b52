"""Sockets that became no connection, and why: the core counts them, and tells of some. Here are
their lines, and in the audit those of client certificates."""

from typing import TYPE_CHECKING, Any

from dscore.log import get_logger
from dscore.log.certificates import certificate_fields
from dscore.messages import timestamp

if TYPE_CHECKING:
    from dscore._core import RefusedCertificate, TlsRefused
    from dscore.server.audit_trail import AuditTrail

AUDIT_MS = 600_000
"""An agent whose certificate is not good tries again and again: the audit has one line of it within
this time, so that it pushes no other out."""
MAX_REMEMBERED = 1_000
"""Certificates that it is remembered of."""

_log = get_logger("dscore.tls")


class TlsRefusals:
    """Writes of each refusal that the core tells of."""

    def __init__(self, trail: "AuditTrail") -> None:
        self._trail = trail
        self._kept: dict[tuple[object, ...], int] = {}
        """Address, cause and certificate -> when the audit was told, oldest first."""

    def refused(self, event: "TlsRefused", now: int) -> None:
        """A handshake was refused, or what came in place of one."""
        fields: dict[str, Any] = {"ip": event.ip, "port": event.port}
        if event.proxy is not None:
            fields["proxy"] = event.proxy
        fields |= {"reason": event.reason, "cause": event.cause}
        if event.certificate is not None:
            fields |= _certificate(event.certificate)
        if event.reason == "certificate" and self._is_news(event, now):
            self._trail.keep({"who": None, **fields, "status": None}, refused=True)
        if event.left_out:
            fields["left_out"] = event.left_out
        _log.warning("tls_refused", **fields)

    def _is_news(self, event: "TlsRefused", now: int) -> bool:
        shown = event.certificate
        key = (event.ip, event.cause, None if shown is None else (shown.issuer, shown.serial))
        kept = self._kept.get(key)
        if kept is not None and now - kept < AUDIT_MS:
            return False
        self._kept.pop(key, None)
        self._kept[key] = now
        if len(self._kept) > MAX_REMEMBERED:
            del self._kept[next(iter(self._kept))]
        return True


def _certificate(shown: "RefusedCertificate") -> dict[str, Any]:
    """What it says of itself: none of it is proved, for it was found not good."""
    return {
        **certificate_fields(shown.names),
        "certificate_issuer": shown.issuer,
        "certificate_serial": shown.serial,
        "certificate_not_before": _time(shown.not_before),
        "certificate_not_after": _time(shown.not_after),
    }


def _time(unix_seconds: int) -> str:
    try:
        return timestamp(unix_seconds)
    except (ValueError, OverflowError, OSError):  # A year that there is none of.
        return str(unix_seconds)
