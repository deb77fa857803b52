//! What Python gives, setting by setting: name, type, default, and between which bounds it must lie. Documented in
//! `_core.pyi`.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::CoreConfig;

/// What a reactor can name. Containers may have a limit of a thousand million descriptors.
pub(crate) const MAX_CONNECTIONS: u64 = 16_000_000;
/// Milliseconds up to a day: no time of ours is longer, and sums of them cannot overflow.
const TIME: RangeInclusive<u64> = 1..=24 * 3_600 * 1_000;

/// The keyword arguments of `CoreConfig`, as one struct, and the check of those that have bounds.
macro_rules! settings {
    ($($name:ident: $type:ty = $default:tt $(! $list:tt)? $(in $bounds:expr)?;)*) => {
        /// Every setting as it was given.
        pub(crate) struct Given<'a> {
            $(pub(crate) $name: $type,)*
        }

        impl Given<'_> {
            /// # Errors
            /// `ValueError`, which names a setting that is out of bounds.
            pub(crate) fn check_bounds(&self) -> PyResult<()> {
                $($(check_bounds(stringify!($name), self.$name, $bounds)?;)?)*
                Ok(())
            }
        }

        #[pymethods]
        impl CoreConfig {
            #[new]
            #[pyo3(signature = (*, $($name = $default $(! $list)?),*))]
            #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
            fn new<'a>($($name: $type),*) -> PyResult<Self> {
                Self::checked(Given { $($name),* })
            }
        }
    };
}

settings! {
    host: &'a str = "127.0.0.1";
    port: u64 = 0 in 0..=65_535;
    passed_socket: bool = false;
    tls_host: &'a str = "";
    tls_port: u64 = 0 in 0..=65_535;
    tls_handshakes: u64 = 1_024 in 1..=65_536;
    is_plain_for_all: bool = true;
    proxy_protocol: bool = false;
    backlog: u64 = 4096 in 1..=65_535;
    reactors: u64 = 0 in 0..=255;
    endpoints: Option<HashMap<String, String>> = None;
    origins: Vec<String> = vec!["*".to_owned()];
    names: Vec<String> = vec![];
    trusted_proxies: Vec<String> = vec![];
    check_host: bool = false;
    subprotocols: Vec<String> = vec![];
    max_message_size: u64 = 1_000_000 in 125..=1 << 30;
    max_fragments: u64 = 4096 in 1..=1 << 20;
    max_header_size: u64 = 16_384 in 256..=1 << 20;
    max_body_size: u64 = 1_000_000 in 0..=1 << 30;
    max_upload_size: u64 = 1_073_741_824 in 0..=1 << 40;
    guest: bool = false;
    whole_bodies: Vec<String> = vec![];
    max_connections: u64 = 0 in 0..=MAX_CONNECTIONS;
    accept_rate: f64 = 0.0;
    connections_per_address: u64 = 0 in 0..=MAX_CONNECTIONS;
    introductions_per_address: u64 = 0 in 0..=1_000_000;
    max_errors: u64 = 10 in 1..=255;
    outbox_bytes: u64 = 1_048_576 in 1_024..=1 << 30;
    output_bytes: u64 = 268_435_456 in 1 << 20..=1 << 40;
    input_bytes: u64 = 268_435_456 in 1 << 20..=1 << 40;
    handshake_timeout: u64 = 10_000 in TIME;
    auth_timeout: u64 = 10_000 in TIME;
    keep_alive_timeout: u64 = 75_000 in TIME;
    ping_interval: u64 = 30_000 in TIME;
    ping_timeout: u64 = 120_000 in TIME;
    close_timeout: u64 = 2_000 in TIME;
    connect_timeout: u64 = 60_000 in TIME;
    transports: Vec<String> = vec!["polling".to_owned(), "websocket".to_owned()];
    allow_eio3: bool = true;
    hsts: u64 = 0 in 0..=63_072_000;
    cors_methods: Vec<String> = vec!["GET".to_owned(), "POST".to_owned()];
    namespaces: Vec<String> = vec![];
    next_heartbeat_in: u64 = 30_000 in TIME;
    connection_check_interval: u64 = 30_000 in TIME;
    offline_timeout: u64 = 300_000 in TIME;
    heartbeat_message: &'a str = "heartbeat received";
    introduce_by_heartbeat: bool = true;
    introductions_are_judged: bool = false;
    event_queue: u64 = 16_384 in 16..=1 << 22;
}

fn check_bounds(name: &str, value: u64, bounds: RangeInclusive<u64>) -> PyResult<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = bounds.into_inner();
    Err(PyValueError::new_err(format!(
        "{name}: {value} is not between {least} and {most}"
    )))
}
