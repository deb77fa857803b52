//! The PROXY protocol, versions 1 and 2: what a proxy writes in front of a connection that it passes on, of where that came
//! from (haproxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).
//!
//! Read where a header is expected and from a proxy that is trusted, and nowhere else: one that is only found would be the
//! client's word. A header that says nothing of the client (`UNKNOWN`, `LOCAL`, a Unix socket) leaves it to be the proxy, as
//! its own health checks are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The first bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2: the signature, what it is, and how many bytes follow.
const HEADER: usize = 16;
/// A line of version 1 at most, its end included (§2.1).
const MAX_LINE: usize = 107;
/// Addresses and everything beside them that is taken: proxies send certificates' names there, no kilobytes.
const MAX_BODY: usize = 2048;
/// A vector of the client's TLS (§2.2.5), and the bit that says it spoke it.
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The client, and where it came in at the proxy; none where the proxy speaks for itself.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The client speaks TLS to the proxy.
    pub is_secure: bool,
}

/// This is no header of the PROXY protocol, or one that breaks its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no header of the PROXY protocol")]
pub struct NoHeader;

/// Reads the header in front; `None` while it has not come whole. Its length beside it.
///
/// # Errors
/// There is none, whatever may follow.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, NoHeader> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(one, other)| one == other);
    if begins(&SIGNATURE) {
        return parse_binary(bytes);
    }
    if begins(b"PROXY ") {
        return parse_line(bytes);
    }
    Err(NoHeader)
}

fn parse_line(bytes: &[u8]) -> Result<Option<(Header, usize)>, NoHeader> {
    let within = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_LINE {
            Ok(None)
        } else {
            Err(NoHeader)
        };
    };
    let line = within.get(..end).ok_or(NoHeader)?;
    let line = std::str::from_utf8(line).map_err(|_| NoHeader)?;
    let mut words = line.split(' ').skip(1);
    let addresses = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => None,
        Some(family @ ("TCP4" | "TCP6")) => {
            let mut next = || words.next().ok_or(NoHeader);
            let (source, destination) = (next()?, next()?);
            let (source_port, destination_port) = (next()?, next()?);
            let source = socket_address(family, source, source_port)?;
            let destination = socket_address(family, destination, destination_port)?;
            if words.next().is_some() {
                return Err(NoHeader);
            }
            Some((source, destination))
        }
        _ => return Err(NoHeader),
    };
    let header = Header {
        addresses,
        is_secure: false,
    };
    Ok(Some((header, end + 2)))
}

fn socket_address(family: &str, address: &str, port: &str) -> Result<SocketAddr, NoHeader> {
    let is_plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().map_err(|_| NoHeader)?;
    let address: IpAddr = match family {
        "TCP4" => address.parse::<Ipv4Addr>().map_err(|_| NoHeader)?.into(),
        _ => address.parse::<Ipv6Addr>().map_err(|_| NoHeader)?.into(),
    };
    if is_plain {
        Ok(SocketAddr::new(address.to_canonical(), port))
    } else {
        Err(NoHeader)
    }
}

fn parse_binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, NoHeader> {
    let Some(head) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let (version_command, family) = (head[12], head[13]);
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if version_command >> 4 != 2 || length > MAX_BODY {
        return Err(NoHeader);
    }
    let is_local = match version_command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(NoHeader),
    };
    let Some(body) = bytes.get(HEADER..HEADER + length) else {
        return Ok(None);
    };
    let (addresses, vectors) = match family {
        // §2.2: of what a proxy says of itself nothing counts, its family neither.
        _ if is_local => (None, &body[..0]),
        0x11 => {
            let (block, vectors) = body.split_first_chunk::<12>().ok_or(NoHeader)?;
            (Some(ipv4_addresses(block)), vectors)
        }
        0x21 => {
            let (block, vectors) = body.split_first_chunk::<36>().ok_or(NoHeader)?;
            (Some(ipv6_addresses(block)), vectors)
        }
        // Unspecified, datagrams, Unix sockets: nothing that a client of ours comes from.
        _ => (None, &body[..0]),
    };
    let header = Header {
        addresses,
        is_secure: tells_tls(vectors)?,
    };
    Ok(Some((header, HEADER + length)))
}

fn ipv4_addresses(block: &[u8; 12]) -> (SocketAddr, SocketAddr) {
    let [a, b, c, d, e, f, g, h, ports @ ..] = *block;
    let (source, destination) = two_ports(ports);
    (
        SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), source),
        SocketAddr::new(Ipv4Addr::new(e, f, g, h).into(), destination),
    )
}

fn ipv6_addresses(block: &[u8; 36]) -> (SocketAddr, SocketAddr) {
    let address = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&block[at..at + 16]);
        IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()
    };
    let (source, destination) = two_ports([block[32], block[33], block[34], block[35]]);
    (
        SocketAddr::new(address(0), source),
        SocketAddr::new(address(16), destination),
    )
}

fn two_ports([a, b, c, d]: [u8; 4]) -> (u16, u16) {
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// Whether the vectors behind the addresses say that the client spoke TLS.
fn tells_tls(mut vectors: &[u8]) -> Result<bool, NoHeader> {
    let mut is_secure = false;
    while let Some((head, rest)) = vectors.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let value = rest.get(..length).ok_or(NoHeader)?;
        if head[0] == TYPE_SSL {
            is_secure |= value.first().is_some_and(|client| client & CLIENT_SSL != 0);
        }
        vectors = &rest[length..];
    }
    if vectors.is_empty() {
        Ok(is_secure)
    } else {
        Err(NoHeader)
    }
}
