//! Whose request it is that a proxy has passed on: `X-Forwarded-For` and `X-Forwarded-Proto`, and `Forwarded` of RFC 7239.
//!
//! A proxy writes where a request came to it from behind what others wrote, so a list is read from its right end, and only
//! for as long as the writer of an entry is trusted. The first address that is no trusted proxy is the client's; what stands
//! to the left of it may be the client's own invention, and is never looked at.
//!
//! | the connection's peer | `X-Forwarded-For` | `Forwarded` | the client is |
//! |---|---|---|---|
//! | not trusted | any | any | the peer |
//! | trusted | none | none | the peer |
//! | trusted | there | any | by `X-Forwarded-For` |
//! | trusted | none | there | by `Forwarded` |
//!
//! Where both come, the one that most proxies write counts: the other is likely the client's own.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::http::Head;

/// Proxies one behind the other; past them the last one that was found is taken for the client.
pub const MAX_HOPS: usize = 32;

/// A range of addresses, as `10.0.0.0/8`; without a prefix, one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether an address lies in it; an IPv4 address in IPv6's form (RFC 4291 §2.5.5.2) is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_bits = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        same_bits >= self.prefix
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let most: u32 = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => most,
            Some(digits) if is_number(digits) => digits.parse().map_err(|_| ())?,
            Some(_) => return Err(()),
        };
        // In IPv6's form of IPv4 (RFC 4291 §2.5.5.2) it would contain nothing: what is looked up there is IPv4.
        let is_mapped = |address: Ipv6Addr| address.to_ipv4_mapped().is_some();
        if prefix > most || matches!(address, IpAddr::V6(address) if is_mapped(address)) {
            return Err(());
        }
        Ok(Self { address, prefix })
    }
}

/// What the proxies on the way say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Where the client came from; port 0 where that is not said.
    pub client: SocketAddr,
    /// Whether it came over TLS, where that is said.
    pub is_secure: Option<bool>,
}

/// The proxies that are believed (`listen.trusted_proxies`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// From ranges of addresses.
    ///
    /// # Errors
    /// The first text that is none.
    pub fn new(networks: &[String]) -> Result<Self, &str> {
        let parsed = networks
            .iter()
            .map(|text| text.parse().map_err(|()| text.as_str()));
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    /// Whether what this address says of others is believed.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// What is said of a request that came from `peer`; `None` where that is no proxy that is believed, or it says nothing.
    pub fn read(&self, peer: SocketAddr, head: &Head<'_>) -> Option<Forwarded> {
        if !self.trust(peer.ip()) {
            return None;
        }
        let addresses = entries(head, "x-forwarded-for");
        if !addresses.is_empty() {
            let (client, hops) = self.walk(peer, &addresses);
            let is_secure = scheme_at(hops, head);
            return Some(Forwarded { client, is_secure });
        }
        let elements = entries(head, "forwarded");
        if elements.is_empty() {
            let is_secure = scheme_at(0, head);
            return is_secure.map(|_| Forwarded {
                client: peer,
                is_secure,
            });
        }
        let named: Vec<&[u8]> = elements
            .iter()
            .map(|element| parameter(element, b"for").unwrap_or_default())
            .collect();
        let (client, hops) = self.walk(peer, &named);
        let element = elements.get(hops.saturating_sub(1));
        let scheme = element.and_then(|element| parameter(element, b"proto"));
        let is_secure = scheme.and_then(means_tls).or_else(|| scheme_at(hops, head));
        Some(Forwarded { client, is_secure })
    }

    /// From the peer, entry by entry, to the first address that is not trusted, and how many entries that took.
    fn walk(&self, peer: SocketAddr, entries: &[&[u8]]) -> (SocketAddr, usize) {
        let (mut client, mut hops) = (peer, 0);
        for entry in entries {
            if !self.trust(client.ip()) {
                break;
            }
            // "unknown", a name of the proxy's own (RFC 7239 §6.2, §6.3), or rubbish: who is nearer is all that is known.
            let Some(address) = parse_address(entry) else {
                break;
            };
            client = address;
            hops += 1;
        }
        (client, hops)
    }
}

/// The last entries of a list, which several fields may make up (RFC 9110 §5.3), from the right; empty ones are none.
fn entries<'a>(head: &Head<'a>, name: &str) -> Vec<&'a [u8]> {
    let fields: Vec<&[u8]> = head.header_all(name).collect();
    let lists = fields.into_iter().rev();
    let all = lists.flat_map(|list| FromRight {
        list,
        separator: b',',
    });
    all.filter(|entry| !entry.is_empty())
        .take(MAX_HOPS)
        .collect()
}

/// The entries of one field, from the right. Quotes are paired from there, too: one that a client left open cannot swallow what a
/// proxy has put behind it.
struct FromRight<'a> {
    list: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.list.is_empty() {
            return None;
        }
        let mut is_quoted = false;
        let at = self.list.iter().rposition(|&byte| {
            is_quoted ^= byte == b'"';
            byte == self.separator && !is_quoted
        });
        let (rest, entry) = match at {
            Some(at) => (&self.list[..at], &self.list[at + 1..]),
            None => (&self.list[..0], self.list),
        };
        self.list = rest;
        Some(entry.trim_ascii())
    }
}

/// The value of a parameter of an element (RFC 7239 §4), without its quotes.
fn parameter<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut pairs = FromRight {
        list: element,
        separator: b';',
    };
    pairs.find_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let (own, value) = (&pair[..at], &pair[at + 1..]);
        let value = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""))
            .unwrap_or(value);
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// An address with or without a port; one of IPv6 with or without its brackets.
fn parse_address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let (address, port) = match bare.parse::<IpAddr>() {
        Ok(address) => (address, 0),
        Err(_) => {
            let whole: SocketAddr = text.parse().ok()?;
            (whole.ip(), whole.port())
        }
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}

/// What `X-Forwarded-Proto` says of the hop that came in `hops` entries ago; a proxy that writes the field alone overwrites it,
/// and what one value says is said of all.
fn scheme_at(hops: usize, head: &Head<'_>) -> Option<bool> {
    let schemes = entries(head, "x-forwarded-proto");
    let at = hops.saturating_sub(1).min(schemes.len().saturating_sub(1));
    schemes.get(at).copied().and_then(means_tls)
}

fn means_tls(scheme: &[u8]) -> Option<bool> {
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    if is(b"https") || is(b"wss") {
        return Some(true);
    }
    (is(b"http") || is(b"ws")).then_some(false)
}
