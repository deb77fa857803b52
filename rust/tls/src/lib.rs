//! TLS for dscore: what a configuration's files hold, handshakes, and what a connection says afterwards. Bytes in, bytes
//! out: no socket, no thread, no clock but the one that the certificates are checked by.
//!
//! TLS 1.3 alone, ALPN `http/1.1`, no early data. Handshakes are rustls', the cryptography ring's; no other crate of ours
//! names either. The records that follow are opened and sealed by rustls, or here ([`RecordLayer`]).

#![forbid(unsafe_code)]

mod buffered;
mod certificates;
mod clients;
mod clock;
mod config;
mod connection;
mod error;
mod extraction;
mod failure;
mod handshake;
mod layer;
mod messages;
mod names;
mod partial;
mod record;
mod refusal;
mod secrets;
mod tickets;

pub use certificates::CertificateFiles;
pub use clients::ClientAuth;
pub use config::{Certificate, RecordLayerKind, TlsConfig, TlsFiles};
pub use connection::{MAX_OPENED_BEYOND, Tls};
pub use error::TlsError;
pub use failure::Failure;
pub use handshake::{Established, Handshake, Progress, begins_handshake};
pub use layer::{RecordLayer, Sealed, Secret};
pub use record::{Opened, RecordError};
pub use refusal::{Refusal, ShownCertificate};
pub use secrets::Suite;
