//! What was refused to peers that have no name yet.

use std::net::{IpAddr, SocketAddr};

/// A limit on what one address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressLimit {
    /// `limits.connections_per_address`.
    Connections,
    /// `limits.introductions_per_address`.
    Introductions,
}

/// An address was refused something, for it has as much as one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRefused {
    /// Which limit it has reached.
    pub limit: AddressLimit,
    /// Whose.
    pub address: IpAddr,
}

/// A socket became no connection: its TLS handshake was refused, or what came in place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRefused {
    /// Where it came from.
    pub peer: SocketAddr,
    /// The proxy that said so.
    pub proxy: Option<IpAddr>,
    /// As it is counted.
    pub reason: &'static str,
    /// The same, finer.
    pub cause: &'static str,
    /// Refusals of the same cause that were not told of, since the last one that was.
    pub left_out: u64,
    /// The client certificate that was not good.
    pub certificate: Option<Box<RefusedCertificate>>,
}

/// What a client certificate says of itself that was not good: none of it is proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// The alternative names, then the common name.
    pub names: Vec<String>,
    /// Who has issued it.
    pub issuer: String,
    /// Its number there, hexadecimal.
    pub serial: String,
    /// From when on it is valid, Unix seconds.
    pub not_before_s: i64,
    /// Until when.
    pub not_after_s: i64,
}
