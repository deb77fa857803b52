//! Python's configuration to Rust's; what is more than a bound is checked here.

mod settings;

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use dscore_proto::connection::Limits;
use dscore_proto::forwarded::TrustedProxies;
use dscore_proto::http;
use dscore_proto::origin::OriginRules;
use dscore_proto::socketio;
use dscore_reactor::settings::{GuestSettings, ListenSettings, Settings, TlsListen};
use dscore_reactor::{connections_allowed, descriptor_limit};
use dscore_tls::TlsConfig;
use dscore_traffic::Endpoint;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use settings::{Given, MAX_CONNECTIONS};

/// Everything the reactors need to know, checked.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct CoreConfig {
    pub(crate) address: SocketAddr,
    pub(crate) passed_socket: bool,
    pub(crate) backlog: u32,
    pub(crate) event_queue: usize,
    tls_address: Option<SocketAddr>,
    tls_handshakes: usize,
    is_plain_for_all: bool,
    proxy_protocol: bool,
    pub(crate) settings: Settings,
    #[pyo3(get)]
    reactors: usize,
    #[pyo3(get)]
    max_connections: usize,
}

impl CoreConfig {
    pub(crate) fn listen(&self, tls: Option<&Arc<TlsConfig>>) -> ListenSettings {
        ListenSettings {
            address: self.address,
            passed_socket: self.passed_socket,
            backlog: self.backlog,
            reactors: self.reactors,
            event_queue: self.event_queue,
            tls: tls.map(|config| TlsListen {
                address: self.tls_address,
                config: config.clone(),
                handshakes: self.tls_handshakes,
                is_plain_for_all: self.is_plain_for_all,
            }),
            proxy_protocol: self.proxy_protocol,
        }
    }

    /// # Errors
    /// `ValueError`, which names a setting that cannot be one.
    pub(crate) fn checked(given: Given<'_>) -> PyResult<Self> {
        given.check_bounds()?;
        let reactors = match given.reactors {
            0 => default_reactors(),
            reactors => reactors as usize,
        };
        let max_connections = match given.max_connections {
            0 => connections_allowed(descriptor_limit()).min(MAX_CONNECTIONS),
            connections => connections,
        };
        let address = resolve(given.host, given.port as u16)?;
        let tls_address = match given.tls_host {
            "" => None,
            host => Some(resolve(host, given.tls_port as u16)?),
        };
        Ok(Self {
            address,
            passed_socket: given.passed_socket,
            backlog: given.backlog as u32,
            event_queue: given.event_queue as usize,
            tls_address,
            tls_handshakes: given.tls_handshakes as usize,
            is_plain_for_all: given.is_plain_for_all,
            proxy_protocol: given.proxy_protocol,
            reactors,
            max_connections: max_connections as usize,
            settings: settings(
                given,
                &[Some(address), tls_address],
                max_connections as usize,
                reactors as u64,
            )?,
        })
    }
}

fn settings(
    given: Given<'_>,
    addresses: &[Option<SocketAddr>],
    max_connections: usize,
    reactors: u64,
) -> PyResult<Settings> {
    Ok(Settings {
        endpoints: parse_endpoints(given.endpoints)?,
        origins: origin_rules(&given.origins, &given.names)?,
        trusted_proxies: trusted_proxies(&given.trusted_proxies)?,
        check_host: given.check_host && are_loopback(addresses),
        subprotocols: checked("subprotocols", given.subprotocols, http::is_token_text)?,
        messages: messages(given.max_message_size, given.max_fragments),
        max_header_size: given.max_header_size as usize,
        max_body_size: given.max_body_size as usize,
        guest: guest(given.guest, given.whole_bodies, given.max_upload_size),
        max_connections,
        accept_rate: rate("accept_rate", given.accept_rate)?,
        connections_per_address: given.connections_per_address,
        introductions_per_address: given.introductions_per_address,
        max_errors: given.max_errors as u8,
        outbox_bytes: given.outbox_bytes as usize,
        output_bytes: given.output_bytes / reactors,
        input_bytes: given.input_bytes / reactors,
        handshake_timeout: given.handshake_timeout,
        auth_timeout: given.auth_timeout,
        keep_alive_timeout: given.keep_alive_timeout,
        ping_interval: given.ping_interval,
        ping_timeout: given.ping_timeout,
        connect_timeout: given.connect_timeout,
        polling: has_transport(&given.transports, "polling")?,
        websocket: has_transport(&given.transports, "websocket")?,
        allow_eio3: given.allow_eio3,
        hsts_s: given.hsts,
        cors_methods: checked("cors_methods", given.cors_methods, is_method)?,
        namespaces: checked("namespaces", given.namespaces, is_namespace)?,
        close_timeout: given.close_timeout,
        next_heartbeat_in: given.next_heartbeat_in,
        connection_check_interval: given.connection_check_interval,
        offline_timeout: given.offline_timeout,
        heartbeat_message: given.heartbeat_message.into(),
        introduce_by_heartbeat: given.introduce_by_heartbeat,
        introductions_are_judged: given.introductions_are_judged,
    })
}

/// Of a WebSocket message.
fn messages(max_message_size: u64, max_fragments: u64) -> Limits {
    Limits {
        max_message_size: max_message_size as usize,
        max_fragments: max_fragments as u32,
    }
}

fn guest(is_there: bool, whole_bodies: Vec<String>, max_upload_size: u64) -> GuestSettings {
    GuestSettings {
        is_there,
        whole_bodies,
        max_upload_size: max_upload_size as usize,
    }
}

/// One for each two processors, at least one.
fn default_reactors() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).clamp(1, 255)
}

fn are_loopback(addresses: &[Option<SocketAddr>]) -> bool {
    let mut there = addresses.iter().flatten();
    there.all(|address| address.ip().is_loopback())
}

fn rate(field: &str, value: f64) -> PyResult<f64> {
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(PyValueError::new_err(format!(
        "{field}: {value} is not a number of at least 0"
    )))
}

/// Whether a transport is among those that are spoken.
fn has_transport(transports: &[String], name: &str) -> PyResult<bool> {
    let unknown = transports
        .iter()
        .find(|transport| !matches!(transport.as_str(), "polling" | "websocket"));
    match unknown {
        Some(unknown) => Err(PyValueError::new_err(format!(
            "transports: {unknown:?} is neither 'polling' nor 'websocket'"
        ))),
        None if transports.is_empty() => Err(PyValueError::new_err(
            "transports: there must be one at least",
        )),
        None => Ok(transports.iter().any(|transport| transport == name)),
    }
}

fn checked(field: &str, values: Vec<String>, is_fit: fn(&str) -> bool) -> PyResult<Vec<String>> {
    match values.iter().find(|value| !is_fit(value)) {
        Some(unfit) => Err(PyValueError::new_err(format!(
            "{field}: {unfit:?} cannot be one"
        ))),
        None => Ok(values),
    }
}

/// Rules of `socket.cors_origins` and `listen.names`.
pub(crate) fn origin_rules(origins: &[String], names: &[String]) -> PyResult<OriginRules> {
    OriginRules::new(origins, names).map_err(|unfit| {
        let field = if origins.iter().any(|origin| origin == unfit) {
            "origins"
        } else {
            "names"
        };
        PyValueError::new_err(format!("{field}: {unfit:?} cannot be one"))
    })
}

/// Proxies of `listen.trusted_proxies`.
fn trusted_proxies(networks: &[String]) -> PyResult<TrustedProxies> {
    TrustedProxies::new(networks)
        .map_err(|unfit| PyValueError::new_err(format!("trusted_proxies: {unfit:?} cannot be one")))
}

fn is_method(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_namespace(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'?');
    name.len() > 1
        && name.len() <= socketio::MAX_NAMESPACE
        && name.starts_with('/')
        && name.bytes().all(is_plain)
}

fn resolve(host: &str, port: u16) -> PyResult<SocketAddr> {
    let unknown = |why: String| {
        PyValueError::new_err(format!("host: {host:?} is no address to listen on: {why}"))
    };
    let mut addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| unknown(error.to_string()))?;
    addresses
        .next()
        .ok_or_else(|| unknown("it has none".into()))
}

fn parse_endpoints(
    endpoints: Option<HashMap<String, String>>,
) -> PyResult<Vec<(String, Endpoint)>> {
    let Some(endpoints) = endpoints else {
        return Ok(vec![("/deepstream/ws".into(), Endpoint::Raw)]);
    };
    let parse = |(path, kind): (String, String)| {
        if !path.starts_with('/') {
            return Err(PyValueError::new_err(format!(
                "endpoints: the path {path:?} does not begin with '/'"
            )));
        }
        let endpoint = Endpoint::from_name(&kind).ok_or_else(|| {
            PyValueError::new_err(format!(
                "endpoints: {kind:?} is none of 'raw', 'socketio', 'plain', 'plain-engineio', 'plain-socketio'"
            ))
        })?;
        Ok((path, endpoint))
    };
    endpoints.into_iter().map(parse).collect()
}
