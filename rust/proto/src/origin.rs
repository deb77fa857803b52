//! Which pages may reach a server, by their `Origin` and the `Host` they use (RFC 6454, RFC 9110
//! §7.2; PROTOCOL.md §2).
//!
//! | Origin | rules with `*` | with that origin | with `self`, and it is our own | none of these |
//! |---|---|---|---|---|
//! | none | any | by Host | by Host | by Host |
//! | one | any | named | by Host, then named | refused |
//! | more than one | refused | refused | refused | refused |
//!
//! By Host: a page whose name was rebound to our address (DNS rebinding) sends that name as Host,
//! and no Origin when it reads what looks like its own. Where nothing else keeps it out, Host must
//! be a name of ours. An origin that was written down is trusted whatever its Host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// Why a request is refused, 403.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum OriginRefusal {
    /// Two readers could each take another one.
    #[error("a request has one Origin field at most")]
    Repeated,
    /// None of those that are let in.
    #[error("pages of this origin are not let in: name it in socket.cors_origins")]
    Foreign,
    /// Not a name of ours.
    #[error(
        "without tokens this server answers to names of its own machine only: use localhost or 127.0.0.1, name \
         this host in listen.names, or set auth.required"
    )]
    Host,
}

/// A request that is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted<'a> {
    /// It has no Origin: no page of another origin sent it.
    SameOrigin,
    /// Every origin is.
    Any,
    /// This one is, as it was sent.
    Named(&'a [u8]),
}

/// Who is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginRules {
    any: bool,
    own: bool,
    named: Vec<Origin>,
    names: Vec<Host>,
}

/// What of a request decides.
#[derive(Clone, Copy, Debug)]
pub struct Addressed<'a> {
    /// Its Host field; HTTP/1.0 needs none.
    pub host: Option<&'a [u8]>,
    /// The address and port it came in on.
    pub local: SocketAddr,
    /// Nothing but its Host tells a page from a program.
    pub check_host: bool,
}

impl OriginRules {
    /// Rules of these origins: `*` is all, `self` our own; `names` are host names of ours.
    ///
    /// # Errors
    /// The first entry that is none.
    pub fn new<'a>(origins: &'a [String], names: &'a [String]) -> Result<Self, &'a str> {
        let mut rules = Self::default();
        for entry in origins {
            match entry.as_str() {
                "*" => rules.any = true,
                "self" => rules.own = true,
                origin => rules
                    .named
                    .push(Origin::parse(origin.as_bytes()).ok_or(origin)?),
            }
        }
        for name in names {
            rules
                .names
                .push(Host::of_setting(name).ok_or(name.as_str())?);
        }
        Ok(rules)
    }

    /// Whether a request may come in, with all its Origin fields.
    ///
    /// # Errors
    /// Why not.
    pub fn judge<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
        request: &Addressed<'_>,
    ) -> Result<Admitted<'a>, OriginRefusal> {
        let (sent, second) = (origins.next(), origins.next());
        if second.is_some() {
            return Err(OriginRefusal::Repeated);
        }
        if self.any {
            return Ok(Admitted::Any);
        }
        let admitted = match sent {
            None => Admitted::SameOrigin,
            Some(text) => {
                let origin = Origin::parse(text).ok_or(OriginRefusal::Foreign)?;
                if self.named.contains(&origin) {
                    return Ok(Admitted::Named(text));
                }
                if !self.own || !self.is_own(&origin, request.local) {
                    return Err(OriginRefusal::Foreign);
                }
                Admitted::Named(text)
            }
        };
        match request.host {
            Some(host) if request.check_host && !self.knows(host, request.local) => {
                Err(OriginRefusal::Host)
            }
            _ => Ok(admitted),
        }
    }

    /// PROTOCOL.md §2, `self`.
    fn is_own(&self, origin: &Origin, local: SocketAddr) -> bool {
        let Origin::Page { scheme, host, port } = origin else {
            return false;
        };
        let is_web = matches!(scheme.as_str(), "http" | "https");
        let is_here = *host == Host::Address(local.ip().to_canonical()) && *port == local.port();
        is_web && (host.is_loopback() || self.names.contains(host) || is_here)
    }

    /// Whether a Host field names this server.
    fn knows(&self, field: &[u8], local: SocketAddr) -> bool {
        let Some((host, _)) =
            split_port(field).and_then(|(host, port)| Some((Host::parse(host)?, port)))
        else {
            return false;
        };
        let is_named =
            |origin: &Origin| matches!(origin, Origin::Page { host: named, .. } if *named == host);
        host.is_loopback()
            || host == Host::Address(local.ip().to_canonical())
            || self.names.contains(&host)
            || self.named.iter().any(is_named)
    }
}

/// An origin, comparable.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// Scheme, host and port, the scheme's own if none was given.
    Page {
        scheme: String,
        host: Host,
        port: u16,
    },
    /// `null`, and what other pages without an address send.
    Opaque(&'static str),
}

impl Origin {
    /// Reads one serialized origin (RFC 6454 §6.2); schemes and hosts have no case.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if let Some(opaque) = ["null", "file://"].into_iter().find(|known| *known == text) {
            return Some(Self::Opaque(opaque));
        }
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_lowercase())
            || !scheme.bytes().all(is_scheme_byte)
        {
            return None;
        }
        let (host, port) = split_port(rest.as_bytes())?;
        let own_port = match scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => Some(0),
        };
        Some(Self::Page {
            host: Host::parse(host)?,
            port: port.or(own_port)?,
            scheme,
        })
    }
}

/// A host name in lower case, or an address in its one form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// As it stands in an authority: an IPv6 address in brackets.
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = !text.is_empty() && text.bytes().all(is_name_byte);
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// As people write it: an IPv6 address with or without brackets.
    fn of_setting(text: &str) -> Option<Self> {
        match text.parse::<Ipv6Addr>() {
            Ok(address) => Some(Self::Address(IpAddr::V6(address).to_canonical())),
            Err(_) => Self::parse(text),
        }
    }

    /// Whether it means this machine, whatever a resolver says of it (RFC 6761 §6.3).
    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }
}

/// Splits `host` or `host:port`.
fn split_port(authority: &[u8]) -> Option<(&str, Option<u16>)> {
    let text = std::str::from_utf8(authority).ok()?;
    let host_end = text.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = text.get(host_end..)?.find(':').map(|at| at + host_end) else {
        return Some((text, None));
    };
    let (host, port) = (text.get(..colon)?, text.get(colon + 1..)?);
    let is_number = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    Some((host, Some(port.parse().ok().filter(|_| is_number)?)))
}
