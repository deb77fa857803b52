//! Python's configuration to Rust's; every bound is checked here.

use std::net::{SocketAddr, ToSocketAddrs};

use dscore_proto::connection::Limits;
use dscore_proto::http;
use dscore_proto::origin::OriginRules;
use dscore_proto::socketio;
use dscore_reactor::settings::{ListenSettings, Settings};
use dscore_reactor::sys;
use dscore_traffic::Endpoint;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::HashMap;

/// What a reactor can name. Containers may have a limit of a thousand million descriptors.
const MAX_CONNECTIONS: u64 = 16_000_000;
/// A day: no time of ours is longer, and sums of them cannot overflow.
const MOST_MS: u64 = 24 * 3_600 * 1_000;

/// Everything the reactors need to know, checked.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct CoreConfig {
    pub(crate) address: SocketAddr,
    pub(crate) backlog: u32,
    pub(crate) event_queue: usize,
    pub(crate) settings: Settings,
    #[pyo3(get)]
    reactors: usize,
    #[pyo3(get)]
    max_connections: usize,
}

impl CoreConfig {
    pub(crate) fn listen(&self) -> ListenSettings {
        ListenSettings {
            address: self.address,
            backlog: self.backlog,
            reactors: self.reactors,
            event_queue: self.event_queue,
        }
    }
}

#[pymethods]
impl CoreConfig {
    #[new]
    #[pyo3(signature = (
        *, host = "127.0.0.1", port = 0, backlog = 4096, reactors = 0, endpoints = None, origins = vec!["*".to_owned()],
        names = vec![], check_host = false,
        subprotocols = vec![], max_message_size = 1_000_000, max_fragments = 4096, max_header_size = 16_384,
        max_body_size = 1_000_000, max_connections = 0, accept_rate = 0.0, max_errors = 10, outbox_bytes = 1_048_576,
        output_bytes = 268_435_456, input_bytes = 268_435_456,
        handshake_timeout = 10_000, auth_timeout = 10_000, keep_alive_timeout = 75_000, ping_interval = 30_000,
        ping_timeout = 120_000, close_timeout = 2_000, connect_timeout = 60_000,
        transports = vec!["polling".to_owned(), "websocket".to_owned()], allow_eio3 = true,
        cors_methods = vec!["GET".to_owned(), "POST".to_owned()], namespaces = vec![], next_heartbeat_in = 30_000, connection_check_interval = 30_000,
        offline_timeout = 300_000, heartbeat_message = "heartbeat received", introduce_by_heartbeat = true,
        event_queue = 16_384,
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "keyword arguments of Python, one for each setting"
    )]
    fn new(
        host: &str,
        port: u64,
        backlog: u64,
        reactors: u64,
        endpoints: Option<HashMap<String, String>>,
        origins: Vec<String>,
        names: Vec<String>,
        check_host: bool,
        subprotocols: Vec<String>,
        max_message_size: u64,
        max_fragments: u64,
        max_header_size: u64,
        max_body_size: u64,
        max_connections: u64,
        accept_rate: f64,
        max_errors: u64,
        outbox_bytes: u64,
        output_bytes: u64,
        input_bytes: u64,
        handshake_timeout: u64,
        auth_timeout: u64,
        keep_alive_timeout: u64,
        ping_interval: u64,
        ping_timeout: u64,
        close_timeout: u64,
        connect_timeout: u64,
        transports: Vec<String>,
        allow_eio3: bool,
        cors_methods: Vec<String>,
        namespaces: Vec<String>,
        next_heartbeat_in: u64,
        connection_check_interval: u64,
        offline_timeout: u64,
        heartbeat_message: &str,
        introduce_by_heartbeat: bool,
        event_queue: u64,
    ) -> PyResult<Self> {
        if !(accept_rate >= 0.0 && accept_rate.is_finite()) {
            return Err(PyValueError::new_err(format!(
                "accept_rate: {accept_rate} is not a number of at least 0"
            )));
        }
        let max_connections = match max_connections {
            0 => sys::connections_allowed(sys::descriptor_limit()).min(MAX_CONNECTIONS),
            given => given,
        };
        let max_connections = size("max_connections", max_connections, 1, MAX_CONNECTIONS)?;
        let reactors = match reactors {
            0 => default_reactors(),
            given => size("reactors", given, 1, 255)?,
        };
        let address = resolve(host, bounded("port", port, 0, 65_535)? as u16)?;
        let settings = Settings {
            endpoints: parse_endpoints(endpoints)?,
            origins: origin_rules(&origins, &names)?,
            check_host: check_host && address.ip().is_loopback(),
            subprotocols: checked("subprotocols", subprotocols, http::is_token_text)?,
            messages: Limits {
                max_message_size: size("max_message_size", max_message_size, 125, 1 << 30)?,
                max_fragments: size("max_fragments", max_fragments, 1, 1 << 20)? as u32,
            },
            max_header_size: size("max_header_size", max_header_size, 256, 1 << 20)?,
            max_body_size: size("max_body_size", max_body_size, 0, 1 << 30)?,
            max_connections,
            accept_rate,
            max_errors: size("max_errors", max_errors, 1, 255)? as u8,
            outbox_bytes: size("outbox_bytes", outbox_bytes, 1_024, 1 << 30)?,
            output_bytes: bounded("output_bytes", output_bytes, 1 << 20, 1 << 40)?
                / reactors as u64,
            input_bytes: bounded("input_bytes", input_bytes, 1 << 20, 1 << 40)? / reactors as u64,
            handshake_timeout: duration("handshake_timeout", handshake_timeout)?,
            auth_timeout: duration("auth_timeout", auth_timeout)?,
            keep_alive_timeout: duration("keep_alive_timeout", keep_alive_timeout)?,
            ping_interval: duration("ping_interval", ping_interval)?,
            ping_timeout: duration("ping_timeout", ping_timeout)?,
            connect_timeout: duration("connect_timeout", connect_timeout)?,
            polling: has_transport(&transports, "polling")?,
            websocket: has_transport(&transports, "websocket")?,
            allow_eio3,
            cors_methods: checked("cors_methods", cors_methods, is_method)?,
            namespaces: checked("namespaces", namespaces, is_namespace)?,
            close_timeout: duration("close_timeout", close_timeout)?,
            next_heartbeat_in: duration("next_heartbeat_in", next_heartbeat_in)?,
            connection_check_interval: duration(
                "connection_check_interval",
                connection_check_interval,
            )?,
            offline_timeout: duration("offline_timeout", offline_timeout)?,
            heartbeat_message: heartbeat_message.into(),
            introduce_by_heartbeat,
        };
        Ok(Self {
            address,
            backlog: bounded("backlog", backlog, 1, 65_535)? as u32,
            event_queue: size("event_queue", event_queue, 16, 1 << 22)?,
            settings,
            reactors,
            max_connections,
        })
    }
}

/// One for each two processors, at least one.
fn default_reactors() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).clamp(1, 255)
}

fn bounded(field: &str, value: u64, least: u64, most: u64) -> PyResult<u64> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(PyValueError::new_err(format!(
        "{field}: {value} is not between {least} and {most}"
    )))
}

fn size(field: &str, value: u64, least: u64, most: u64) -> PyResult<usize> {
    Ok(bounded(field, value, least, most)? as usize)
}

fn duration(field: &str, value: u64) -> PyResult<u64> {
    bounded(field, value, 1, MOST_MS)
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
