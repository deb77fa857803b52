"""What the core is told of a configuration."""

from typing import TYPE_CHECKING, Any

from dscore.config import Config
from dscore.http.loopback import is_loopback
from dscore.http.targets import WHOLE_BODIES
from dscore.policy import Policy
from dscore.policy.admission import is_asked
from dscore.server.hooks import overrides
from dscore.translations import text

if TYPE_CHECKING:
    from dscore._core import Endpoint

ENDPOINTS: "dict[str, Endpoint]" = {"/deepstream/ws": "raw", "/socket.io/": "socketio"}


def core_settings(
    config: Config, policy: Policy, *, has_guest: bool = False, passed_socket: bool = False
) -> dict[str, Any]:
    """The keyword arguments of `CoreConfig`.

    Args:
        config: the settings.
        policy: says which namespaces of Socket.IO there are beside "/", and what is judged.
        has_guest: a program's own app has the paths that are not ours.
        passed_socket: take the service manager's listening socket.

    Raises:
        ValueError: settings that do not go together; or the policy's `namespaces` are one text:
            what was meant as one namespace would be many of a letter each.
    """
    namespaces = policy.namespaces
    if isinstance(namespaces, str):
        raise ValueError(f'namespaces must be a sequence of texts: write ("{namespaces}",)')
    listen, socket = config.listen, config.socket
    return {
        **_listeners(config),
        "passed_socket": passed_socket,
        "backlog": listen.backlog,
        "reactors": 0 if listen.reactors == "auto" else listen.reactors,
        "endpoints": ENDPOINTS,
        "guest": has_guest,
        "whole_bodies": WHOLE_BODIES,
        "origins": socket.cors_origins,
        "names": listen.names,
        "trusted_proxies": listen.trusted_proxies,
        # The core knows whether the listener is loopback's.
        "check_host": not config.auth.required,
        "subprotocols": socket.subprotocols,
        "transports": socket.transports,
        "allow_eio3": socket.allow_eio3,
        "cors_methods": socket.cors_methods,
        "hsts": round(config.tls.hsts),
        "namespaces": tuple(namespaces),
        "heartbeat_message": text(config.log.language, "heartbeat_received"),
        "introduce_by_heartbeat": not config.auth.required,
        "introductions_are_judged": is_asked(config) or overrides(policy, "authenticate"),
        **_bounds(config),
        **_times(config),
    }


def _listeners(config: Config) -> dict[str, Any]:
    listen, tls = config.listen, config.tls
    if listen.proxy_protocol and not listen.trusted_proxies:
        raise ValueError(
            "listen.proxy_protocol is on: name the proxies that write its headers in "
            "listen.trusted_proxies, or switch it off"
        )
    if tls.certificates and tls.port is None and not tls.same_port:
        raise ValueError("tls.same_port is off: set tls.port")
    settings = {
        "host": listen.host,
        "port": listen.port,
        "proxy_protocol": listen.proxy_protocol,
        "tls_handshakes": tls.handshakes,
        "is_plain_for_all": not tls.required,
    }
    if not tls.certificates or tls.port is None:
        return settings
    # Where no other machine may speak plainly, none need reach that listener.
    is_for_loopback = tls.required and not listen.trusted_proxies
    if is_for_loopback and not is_loopback(listen.host):
        settings["host"] = "::1" if ":" in listen.host else "127.0.0.1"
    return {**settings, "tls_host": listen.host, "tls_port": tls.port}


def _bounds(config: Config) -> dict[str, Any]:
    limits = config.limits
    return {
        "max_message_size": config.socket.max_message_size,
        "max_fragments": limits.fragments,
        "max_header_size": limits.header_size,
        "max_body_size": limits.body_size,
        "max_upload_size": limits.upload_size,
        "max_connections": limits.connections or 0,
        "accept_rate": limits.accept_rate or 0.0,
        "connections_per_address": limits.connections_per_address or 0,
        "introductions_per_address": limits.introductions_per_address or 0,
        "max_errors": limits.max_errors,
        "outbox_bytes": limits.outbox_bytes,
        "output_bytes": limits.output_bytes,
        "input_bytes": limits.input_bytes,
    }


def _times(config: Config) -> dict[str, int]:
    """In milliseconds."""
    socket, monitoring = config.socket, config.monitoring
    return {
        "handshake_timeout": _ms(config.limits.handshake_timeout),
        "auth_timeout": _ms(config.auth.timeout),
        "connect_timeout": _ms(socket.connect_timeout),
        "ping_interval": _ms(socket.ping_interval),
        "ping_timeout": _ms(socket.ping_timeout),
        # The core knows no zero: a millisecond is as good as not to wait.
        "close_timeout": max(1, _ms(config.shutdown.close_timeout)),
        "next_heartbeat_in": _ms(monitoring.health_check_interval),
        "connection_check_interval": _ms(monitoring.connection_check_interval),
        "offline_timeout": _ms(monitoring.offline_timeout),
    }


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
