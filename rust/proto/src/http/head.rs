//! The request head: found, checked, and lent out as slices of the bytes it came in.

use std::net::Ipv6Addr;

use httparse::Header;

use super::token::{is_token, list_has};
use super::{BodyKind, HttpError};

/// Slots for header fields; browsers send about 20.
pub const MAX_HEADERS: usize = 100;

/// A request head that passed every check of [`parse_head`].
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// A token; methods are case-sensitive.
    pub method: &'a str,
    /// As sent, never decoded: printable ASCII without `#`.
    pub target: &'a str,
    /// The minor version, 0 or 1; a higher one is read as the highest that is known (RFC 9110 §2.5).
    pub version: u8,
    /// In the order sent; names are tokens, values are trimmed and hold no control byte but tab.
    pub headers: &'a [Header<'a>],
}

impl<'a> Head<'a> {
    /// The value of the first field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    /// Whom the request is for: the authority of an absolute target, whatever Host says (RFC 9112
    /// §3.2.2), else Host.
    pub fn host(&self) -> Option<&'a [u8]> {
        match split_absolute(self.target) {
            Some((authority, _)) => Some(authority.as_bytes()),
            None => self.header("host"),
        }
    }

    /// The values of every field of that name, in the order sent.
    pub fn header_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    /// Whether a comma-separated field, perhaps in several lines, has this token in any case (RFC
    /// 9110 §5.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.header_all(name).any(|value| list_has(value, token))
    }

    /// Whether another request may follow on this connection (RFC 9112 §9.3).
    pub fn keep_alive(&self) -> bool {
        !self.has_token("connection", "close")
            && (self.version >= 1 || self.has_token("connection", "keep-alive"))
    }

    /// Whether the client holds its body back until it is told 100 (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        let has_body = !matches!(
            self.body(),
            Ok(BodyKind::None | BodyKind::Length(0)) | Err(_)
        );
        self.version >= 1 && has_body && self.header("expect").is_some()
    }

    /// Whether the client asks for a WebSocket; whether it asks well is for
    /// [`crate::handshake::accept`] to say.
    pub fn wants_upgrade(&self) -> bool {
        self.has_token("upgrade", "websocket")
    }

    /// See [`path`].
    pub fn path(&self) -> &'a str {
        path(self.target)
    }

    /// How the body is framed (RFC 9112 §6).
    ///
    /// # Errors
    /// Stricter than §6.3: a repeated Content-Length is refused even if its values agree, and so is
    /// any Transfer-Encoding beside a Content-Length.
    pub fn body(&self) -> Result<BodyKind, HttpError> {
        let mut lengths = self.header_all("content-length");
        let mut codings = self.header_all("transfer-encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(BodyKind::None),
            (Some(_), Some(_)) => Err(HttpError::Framing),
            (Some(length), None) => match (parse_length(length), lengths.next()) {
                (Some(length), None) => Ok(BodyKind::Length(length)),
                _ => Err(HttpError::ContentLength),
            },
            // RFC 9112 §6.1: in HTTP/1.0 the framing is faulty, whatever the coding.
            (None, Some(_)) if self.version == 0 => Err(HttpError::Framing),
            (None, Some(_)) => self.transfer_coding(),
        }
    }

    /// RFC 9112 §6.3: where chunked is not the last coding, the end of the body cannot be known; §7:
    /// it is applied once, and has no parameters. Codings before it are merely not understood (§6.1).
    fn transfer_coding(&self) -> Result<BodyKind, HttpError> {
        let (mut others, mut chunked) = (0, 0);
        let mut is_last = false;
        for value in self.header_all("transfer-encoding") {
            // RFC 9110 §5.6.1.2: empty elements are passed over.
            for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                is_last = coding.eq_ignore_ascii_case(b"chunked") || is_last && coding.is_empty();
                others += usize::from(!is_last && !coding.is_empty());
                chunked += usize::from(is_last && !coding.is_empty());
            }
        }
        match (is_last, chunked, others) {
            (true, 1, 0) => Ok(BodyKind::Chunked),
            (true, 1, _) => Err(HttpError::TransferEncoding),
            _ => Err(HttpError::Framing),
        }
    }
}

/// Takes a request head from the front of `bytes`: the head and its length, or `None` until its end
/// has come.
///
/// `bytes` may hold a body or further requests after it; they are not looked at. One empty line
/// before the request is skipped (RFC 9112 §2.2). Faults that need no end to be seen (a control
/// byte, a bare CR or LF) are reported at once.
///
/// # Errors
/// The request is to be answered with [`HttpError::status`] and the connection closed.
///
/// # Example
/// ```
/// use dscore_proto::http::{MAX_HEADERS, parse_head};
///
/// let bytes = b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\nGET /next";
/// let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
/// let (head, len) = parse_head(bytes, &mut slots, 16_384)?.expect("complete");
/// assert_eq!((head.path(), &bytes[len..]), ("/livez", &b"GET /next"[..]));
/// # Ok::<(), dscore_proto::http::HttpError>(())
/// ```
pub fn parse_head<'a>(
    bytes: &'a [u8],
    slots: &'a mut [Header<'a>],
    max_bytes: usize,
) -> Result<Option<(Head<'a>, usize)>, HttpError> {
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let Some(len) = find_end(&bytes[skipped..], max_bytes.saturating_sub(skipped))? else {
        return Ok(None);
    };
    let bytes = &bytes[skipped..skipped + len];

    let (method, target, version, fields) = parse_request_line(bytes)?;
    let headers = match httparse::parse_headers(fields, slots) {
        Ok(httparse::Status::Complete((parsed, headers))) if parsed == fields.len() => headers,
        Err(httparse::Error::TooManyHeaders) => return Err(HttpError::TooManyHeaders),
        Ok(_) | Err(_) => return Err(HttpError::Malformed),
    };
    let head = Head {
        method,
        target,
        version,
        headers,
    };
    check_target(&head)?;
    check_host(&head)?;
    // PROTOCOL.md §2: of two tokens the one that counts would be another for each reader.
    if head.header_all("authorization").nth(1).is_some() {
        return Err(HttpError::Authorization);
    }
    check_expectation(&head)?;
    Ok(Some((head, skipped + len)))
}

/// The length of a head that ends in an empty line, or `None` if `bytes` stop before it.
///
/// httparse takes a bare LF for a line end; a proxy in front may not, so only CRLF passes here, and
/// no other control byte than tab does.
pub(crate) fn find_end(bytes: &[u8], max_bytes: usize) -> Result<Option<usize>, HttpError> {
    let window = &bytes[..bytes.len().min(max_bytes)];
    let mut line = 0;
    while let Some(found) = find_control(&window[line..]) {
        let at = line + found;
        match (window[at], window.get(at + 1)) {
            (b'\r', Some(b'\n')) => {}
            (b'\r', None) => break,
            _ => return Err(HttpError::Malformed),
        }
        if found == 0 {
            return Ok(Some(at + 2));
        }
        line = at + 2;
    }
    // A head that fills the limit without its end cannot end within it.
    if bytes.len() >= max_bytes {
        return Err(HttpError::HeadTooLarge);
    }
    Ok(None)
}

/// Whole blocks first: the compiler turns that loop into vector instructions, and a head that
/// arrives byte by byte is searched from its start each time.
fn find_control(bytes: &[u8]) -> Option<usize> {
    let has_control = |block: &[u8; 32]| {
        block
            .iter()
            .fold(false, |hit, &byte| hit | is_control(byte))
    };
    let (blocks, _) = bytes.as_chunks();
    let clean = 32
        * blocks
            .iter()
            .take_while(|block| !has_control(block))
            .count();
    let found = bytes[clean..].iter().position(|&byte| is_control(byte))?;
    Some(clean + found)
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// The method, the target and the minor version (RFC 9112 §3), and what follows the line.
///
/// One space between the words, as the grammar has it: readers disagree about more.
fn parse_request_line(bytes: &[u8]) -> Result<(&str, &str, u8, &[u8]), HttpError> {
    let end = bytes
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .ok_or(HttpError::Malformed)?;
    let (line, fields) = (&bytes[..end], &bytes[end + 2..]);
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HttpError::Malformed);
    };
    let version = parse_version(version)?;
    let text = |word| std::str::from_utf8(word).map_err(|_| HttpError::Malformed);
    if is_token(method) && !target.is_empty() {
        Ok((text(method)?, text(target)?, version, fields))
    } else {
        Err(HttpError::Malformed)
    }
}

/// RFC 9112 §2.3, RFC 9110 §2.5: whatever the minor version, HTTP/1 is read; no other major one is.
const fn parse_version(word: &[u8]) -> Result<u8, HttpError> {
    match word {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'] => Ok(0),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(1),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(HttpError::Version),
        _ => Err(HttpError::Malformed),
    }
}

/// RFC 9112 §3.2: origin-form, absolute-form, or `*` for OPTIONS.
fn check_target(head: &Head<'_>) -> Result<(), HttpError> {
    if head.method == "CONNECT" {
        return Err(HttpError::Connect);
    }
    // A fragment never travels (RFC 9110 §4.1); httparse lets bytes past ASCII through.
    if !head
        .target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err(HttpError::Target);
    }
    let known_form = head.target.starts_with('/')
        || (head.target == "*" && head.method == "OPTIONS")
        || split_absolute(head.target).is_some();
    if known_form {
        Ok(())
    } else {
        Err(HttpError::Target)
    }
}

/// A target's path, still percent-encoded, without the query; `*` for `OPTIONS *`.
pub fn path(target: &str) -> &str {
    let local = match split_absolute(target) {
        Some((_, local)) => local,
        None => target,
    };
    match local.split('?').next() {
        Some("") | None => "/",
        Some(path) => path,
    }
}

/// The authority of an absolute-form target, and what follows it.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    // Nearly always: no need to look for a scheme.
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// RFC 9112 §3.2: exactly one Host in HTTP/1.1, at most one in HTTP/1.0, and a valid one. An absolute
/// target needs a host of its own (RFC 9110 §4.2.1), and no user (§4.2.4).
fn check_host(head: &Head<'_>) -> Result<(), HttpError> {
    let mut hosts = head.header_all("host");
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_authority(host) => {}
        (None, _) if head.version == 0 => {}
        _ => return Err(HttpError::Host),
    }
    match split_absolute(head.target) {
        Some((authority, _)) if authority.is_empty() || !is_authority(authority.as_bytes()) => {
            Err(HttpError::Host)
        }
        _ => Ok(()),
    }
}

/// Whether `bytes` are `uri-host [ ":" port ]` (RFC 3986 §3.2.2): no user, no path, no list.
fn is_authority(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let (is_host, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
        Some(Some((address, port))) => (address.parse::<Ipv6Addr>().is_ok(), port),
        Some(None) => return false,
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (is_reg_name(&bytes[..end]), &text[end..])
        }
    };
    is_host
        && match port.strip_prefix(':') {
            Some(digits) => {
                digits.is_empty()
                    || digits.bytes().all(|byte| byte.is_ascii_digit())
                        && digits.parse::<u16>().is_ok()
            }
            None => port.is_empty(),
        }
}

fn is_reg_name(mut bytes: &[u8]) -> bool {
    while let [first, rest @ ..] = bytes {
        bytes = match (first, rest) {
            (b'%', [high, low, rest @ ..]) if [high, low].iter().all(|d| d.is_ascii_hexdigit()) => {
                rest
            }
            (byte, rest) if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => {
                rest
            }
            _ => return false,
        };
    }
    true
}

/// RFC 9110 §10.1.1: HTTP/1.0 expectations are ignored, unknown ones are refused.
fn check_expectation(head: &Head<'_>) -> Result<(), HttpError> {
    let known = head
        .header_all("expect")
        .all(|value| value.eq_ignore_ascii_case(b"100-continue"));
    if known || head.version == 0 {
        Ok(())
    } else {
        Err(HttpError::Expectation)
    }
}

/// Digits alone: `u64::from_str` would take a sign.
fn parse_length(value: &[u8]) -> Option<u64> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
