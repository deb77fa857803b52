//! The opening handshake of RFC 6455 §4: the server's answer, and a client's half for tests and
//! benches.
//!
//! No extension is ever negotiated: an offer is not answered, which refuses it (§9.1).

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use thiserror::Error;

use crate::error::UsageError;
use crate::http::{self, BodyKind, Head, MAX_HEADERS};
use crate::origin::{Addressed, OriginRefusal, OriginRules};

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The most a server may send us as the head of its answer.
const MAX_RESPONSE_HEAD: usize = 16_384;

/// Why there is no WebSocket.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HandshakeError {
    /// §4.2.1 item 1.
    #[error("a WebSocket handshake is a GET request")]
    Method,
    /// §4.2.1 item 1: HTTP/1.0 cannot upgrade.
    #[error("a WebSocket handshake needs HTTP/1.1")]
    Version,
    /// A GET may have content, but here it could only be meant for another server.
    #[error("a WebSocket handshake has no content")]
    Content,
    /// §4.2.1 item 3.
    #[error("this resource is a WebSocket: the Upgrade field must name websocket")]
    Upgrade,
    /// §4.2.1 item 4.
    #[error("the Connection field must name Upgrade")]
    Connection,
    /// §4.2.1 item 5.
    #[error("the request needs exactly one Sec-WebSocket-Key of 16 bytes in base64")]
    Key,
    /// §4.2.1 item 6, answered as §4.4 says.
    #[error("the only WebSocket version spoken here is 13")]
    WebSocketVersion,
    /// §4.1 item 10: tokens, none of them twice.
    #[error("Sec-WebSocket-Protocol must be a list of different tokens, none of them empty")]
    Subprotocol,
    /// §4.2.2 item 4: a page from somewhere else.
    #[error(transparent)]
    Origin(#[from] OriginRefusal),
    /// To a client: the server answered, but not with 101.
    #[error("the server refused the WebSocket with status {0}")]
    Refused(u16),
    /// To a client: a 101 that does not prove a WebSocket server (§4.1), or no HTTP at all.
    #[error("the server's answer is not a valid WebSocket handshake")]
    Response,
}

impl HandshakeError {
    /// The status to answer with; to a client, the status it was answered with (502 for nonsense).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Version | Self::Content | Self::Connection | Self::Key | Self::Subprotocol => 400,
            Self::Origin(_) => 403,
            Self::Method => 405,
            Self::Upgrade | Self::WebSocketVersion => 426,
            Self::Refused(status) => status,
            Self::Response => 502,
        }
    }
}

/// Whom a server lets in, and what it speaks.
#[derive(Clone, Copy, Debug)]
pub struct UpgradeRules<'a> {
    /// Pages let in.
    pub origins: &'a OriginRules,
    /// The address and port the request came in on.
    pub local: SocketAddr,
    /// Nothing but its Host tells a page from a program.
    pub check_host: bool,
    /// What the server speaks, the most wanted first; where that is empty, whatever is offered.
    pub subprotocols: &'a [String],
}

/// A handshake that passed every check; [`Accept::encode`] answers it.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    proof: [u8; 28],
    /// The first of the server's subprotocols that the client offered; of a server without any, the
    /// client's first. A browser ends a WebSocket whose offer is not answered.
    pub subprotocol: Option<&'a str>,
}

/// Checks a client's handshake (§4.2.1).
///
/// # Errors
/// The request is to be answered with [`HandshakeError::status`] (see [`http::error_response`]).
pub fn accept<'a>(head: &Head<'a>, rules: &UpgradeRules<'a>) -> Result<Accept<'a>, HandshakeError> {
    let key = check(head)?;
    let addressed = Addressed {
        host: head.header("host"),
        local: rules.local,
        check_host: rules.check_host,
    };
    rules.origins.judge(head.header_all("origin"), &addressed)?;
    Ok(Accept {
        proof: prove(key),
        subprotocol: choose_subprotocol(&offers(head)?, rules.subprotocols),
    })
}

/// A handshake that passed every check but who may come, and with which subprotocol: that is for the
/// server's program to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    proof: [u8; 28],
    /// The subprotocols that the client speaks, in its order.
    pub subprotocols: Vec<String>,
}

/// Checks a client's handshake (§4.2.1) without its Origin.
///
/// # Errors
/// As [`accept`].
pub fn offer(head: &Head<'_>) -> Result<Offer, HandshakeError> {
    let key = check(head)?;
    let subprotocols = offers(head)?.into_iter().map(str::to_owned).collect();
    Ok(Offer {
        proof: prove(key),
        subprotocols,
    })
}

/// The key of a handshake that is none of a bad form (§4.2.1).
fn check<'a>(head: &Head<'a>) -> Result<&'a [u8], HandshakeError> {
    match head.method {
        "GET" => {}
        // RFC 9110 §9.3.2: answered as GET is, which without an upgrade says what is spoken here.
        "HEAD" if !head.wants_upgrade() => return Err(HandshakeError::Upgrade),
        _ => return Err(HandshakeError::Method),
    }
    if !head.wants_upgrade() {
        return Err(HandshakeError::Upgrade);
    }
    if head.version != 1 {
        return Err(HandshakeError::Version);
    }
    if !head.has_token("connection", "upgrade") {
        return Err(HandshakeError::Connection);
    }
    // What followed would be read as frames by us and as content by a proxy.
    if !matches!(head.body(), Ok(BodyKind::None | BodyKind::Length(0))) {
        return Err(HandshakeError::Content);
    }
    // Before the key: the key's form belongs to version 13.
    if only(head, "sec-websocket-version") != Some(b"13") {
        return Err(HandshakeError::WebSocketVersion);
    }
    only(head, "sec-websocket-key")
        .filter(|key| is_key(key))
        .ok_or(HandshakeError::Key)
}

/// The subprotocols that a client offers, in its order (§4.1 item 10, §11.3.4: several fields are
/// one list).
fn offers<'a>(head: &Head<'a>) -> Result<Vec<&'a str>, HandshakeError> {
    let mut offers = Vec::new();
    for list in head.header_all("sec-websocket-protocol") {
        for item in list.split(|&byte| byte == b',') {
            let item = Some(item.trim_ascii()).filter(|item| http::is_token(item));
            let name = item.and_then(|item| std::str::from_utf8(item).ok());
            offers.push(name.ok_or(HandshakeError::Subprotocol)?);
        }
    }
    // As many as fit into a head: not to be compared each with each.
    let mut sorted = offers.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(HandshakeError::Subprotocol);
    }
    Ok(offers)
}

/// Subprotocols, unlike other tokens here, are compared with their case (§11.5).
fn choose_subprotocol<'a>(offers: &[&'a str], spoken: &'a [String]) -> Option<&'a str> {
    if spoken.is_empty() {
        return offers.first().copied();
    }
    let mut spoken = spoken.iter().map(String::as_str);
    spoken.find(|name| offers.contains(name))
}

impl Accept<'_> {
    /// Appends the 101 response (§4.2.2 item 5). Frames may follow it at once.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_switch(&self.proof, self.subprotocol, out);
        out.extend_from_slice(b"\r\n");
    }
}

impl Offer {
    /// Appends the 101 response (§4.2.2 item 5) with fields of the program's own. Frames may follow it
    /// at once.
    ///
    /// # Errors
    /// [`UsageError::InvalidHeader`]: a field cannot be sent, or says what this answer itself says; or
    /// the subprotocol is none of those that were offered. `out` is then as it was.
    pub fn encode(
        &self,
        subprotocol: Option<&str>,
        headers: &[(Vec<u8>, Vec<u8>)],
        out: &mut Vec<u8>,
    ) -> Result<(), UsageError> {
        let is_offered = |name: &str| self.subprotocols.iter().any(|offered| offered == name);
        if !subprotocol.is_none_or(is_offered) {
            return Err(UsageError::InvalidHeader);
        }
        let fits =
            |(name, value): &(Vec<u8>, Vec<u8>)| http::is_field(name, value) && !is_ours(name);
        if !headers.iter().all(fits) {
            return Err(UsageError::InvalidHeader);
        }
        encode_switch(&self.proof, subprotocol, out);
        for (name, value) in headers {
            for part in [&name[..], b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Whether a field of a 101 response is the handshake's own, or would give it a content.
fn is_ours(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with(b"sec-websocket-")
        || matches!(
            &name[..],
            b"connection" | b"upgrade" | b"content-length" | b"transfer-encoding" | b"keep-alive"
        )
}

/// The 101 response without its end.
fn encode_switch(proof: &[u8; 28], subprotocol: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\n\
          Upgrade: websocket\r\n\
          Connection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(proof);
    if let Some(subprotocol) = subprotocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(subprotocol.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a client's handshake (§4.1). The strings are the caller's own and written as they are.
pub fn client_request(
    host: &str,
    path: &str,
    key: &str,
    extra: &[(&str, &str)],
    out: &mut Vec<u8>,
) {
    let fixed = [
        "GET ",
        path,
        " HTTP/1.1\r\nHost: ",
        host,
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13",
        "\r\nSec-WebSocket-Key: ",
        key,
        "\r\n",
    ];
    let fields = extra
        .iter()
        .flat_map(|&(name, value)| [name, ": ", value, "\r\n"]);
    for part in fixed.into_iter().chain(fields).chain(["\r\n"]) {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Checks the server's answer to [`client_request`] (§4.1): its length, or `None` until all of it
/// has come. Frames may follow it in `bytes`.
///
/// # Errors
/// [`HandshakeError::Refused`] with the server's status, or [`HandshakeError::Response`].
pub fn check_response(bytes: &[u8], key: &str) -> Result<Option<usize>, HandshakeError> {
    let end = http::find_end(bytes, MAX_RESPONSE_HEAD).map_err(|_| HandshakeError::Response)?;
    let Some(len) = end else { return Ok(None) };
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut slots);
    match (response.parse(&bytes[..len]), response.code) {
        (Ok(_), Some(101)) => {}
        (Ok(_), Some(status)) => return Err(HandshakeError::Refused(status)),
        _ => return Err(HandshakeError::Response),
    }
    // The fields of a response are read as those of a request are.
    let head = Head {
        method: "",
        target: "",
        version: 1,
        headers: response.headers,
    };
    let proven = head.wants_upgrade()
        && head.has_token("connection", "upgrade")
        && only(&head, "sec-websocket-accept") == Some(&prove(key.as_bytes()))
        // §4.1 item 5: we offered none.
        && head.header("sec-websocket-extensions").is_none();
    if proven {
        Ok(Some(len))
    } else {
        Err(HandshakeError::Response)
    }
}

/// The value of a field that must occur exactly once.
fn only<'a>(head: &Head<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = head.header_all(name);
    values.next().filter(|_| values.next().is_none())
}

/// Base64 of 16 bytes is 22 digits and two pads. The key is hashed as text, never decoded (§4.2.2),
/// so the four bits that 22 digits have too many do not matter.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key, [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(is_digit))
}

/// §4.2.2 item 5.4.
fn prove(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut proof = [0; 28];
    // 20 bytes are 28 digits, so the slice always fits.
    let _ = STANDARD.encode_slice(digest, &mut proof);
    proof
}
