//! The bytes of a response: status line, fields, framing. Content is the caller's.

use std::io::Write;

use serde::Serialize;

use super::token::is_token;
use crate::error::UsageError;

/// The interim answer to a client that expects it (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What is no script is not taken for one (Fetch standard, "X-Content-Type-Options").
const NO_SNIFFING: (&[u8], &[u8]) = (b"x-content-type-options", b"nosniff");
/// RFC 6797 §6.1.
const STRICT_TRANSPORT: &[u8] = b"strict-transport-security";

/// What the address of a WebSocket takes beside upgrades.
pub const WEBSOCKET_METHODS: &[u8] = b"GET, HEAD, OPTIONS";

/// How the end of a response is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A Content-Length; also right for the answer to HEAD, without the content.
    Length(u64),
    /// Chunks; never to an HTTP/1.0 client.
    Chunked,
    /// Nothing is said: the status has no content, or closing the connection ends it.
    None,
}

/// What every answer says unless its own fields do: the time, that its type is meant, and how to come again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing<'a> {
    /// The time, for Date (RFC 9110 §6.6.1); a refusal of the server's own fault may go without.
    pub date: Option<&'a str>,
    /// For so many seconds browsers are to come by TLS alone. Only where the TLS is ours: behind a proxy it is the proxy's
    /// to say.
    pub hsts_s: Option<u64>,
}

/// What an answer of ours says beside its problem.
#[derive(Clone, Copy, Debug, Default)]
pub struct Particulars<'a> {
    /// As every answer.
    pub standing: Standing<'a>,
    /// Seconds after which it is worth coming again.
    pub retry_after: Option<u32>,
    /// The request was HEAD: the content is only described.
    pub head_only: bool,
}

/// Appends the head of a response. Connection and framing are decided here: such fields of the
/// caller's are left out.
///
/// # Errors
/// [`UsageError::InvalidStatus`] or [`UsageError::InvalidHeader`]; `out` is then as it was.
pub fn encode_response_head(
    status: u16,
    headers: &[(&[u8], &[u8])],
    framing: Framing,
    keep_alive: bool,
    standing: Standing<'_>,
    out: &mut Vec<u8>,
) -> Result<(), UsageError> {
    check(status, headers)?;
    push_status_line(status, out);
    push_standing(standing, headers, out);
    for &(name, value) in headers.iter().filter(|(name, _)| !is_ours(name)) {
        push_field(name, value, out);
    }
    match framing {
        // RFC 9110 §8.6, RFC 9112 §6.1: neither field with a 204.
        _ if status == 204 => {}
        Framing::Length(length) => {
            push_field(b"Content-Length", length.to_string().as_bytes(), out);
        }
        Framing::Chunked => push_field(b"Transfer-Encoding", b"chunked", out),
        Framing::None => {}
    }
    // Said in either case: an HTTP/1.0 client must be told that the connection stays (RFC 9112
    // §C.2.2).
    let connection: &[u8] = if keep_alive { b"keep-alive" } else { b"close" };
    push_field(b"Connection", connection, out);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends one chunk. No data, no chunk: an empty one would end the body.
pub fn encode_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    push_fmt(format_args!("{:x}\r\n", data.len()), out);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body.
pub fn encode_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// Appends a complete problem document (RFC 9457) for a connection that is closed after it.
///
/// A 405 names what the address of a WebSocket takes, a 426 names WebSocket 13: those are the only
/// reasons the core has for them.
pub fn error_response(status: u16, detail: &str, beside: Particulars<'_>, out: &mut Vec<u8>) {
    let content = problem(status, detail);
    push_status_line(status, out);
    push_standing(beside.standing, &[], out);
    push_field(b"Content-Type", b"application/problem+json", out);
    push_field(b"Cache-Control", b"no-store", out);
    push_field(b"Content-Length", content.len().to_string().as_bytes(), out);
    if let Some(seconds) = beside.retry_after {
        push_field(b"Retry-After", seconds.to_string().as_bytes(), out);
    }
    match status {
        405 => push_field(b"Allow", WEBSOCKET_METHODS, out),
        426 => {
            // RFC 6455 §4.4; RFC 9110 §7.8 wants the field named in Connection.
            push_field(b"Upgrade", b"websocket", out);
            push_field(b"Sec-WebSocket-Version", b"13", out);
        }
        _ => {}
    }
    let connection: &[u8] = if status == 426 {
        b"close, Upgrade"
    } else {
        b"close"
    };
    push_field(b"Connection", connection, out);
    out.extend_from_slice(b"\r\n");
    if !beside.head_only {
        out.extend_from_slice(&content);
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

fn problem(status: u16, detail: &str) -> Vec<u8> {
    let problem = Problem {
        r#type: "about:blank",
        title: reason_phrase(status),
        status,
        detail,
    };
    // Strings and numbers have no way to fail; were there one, an empty content is still a correct
    // response.
    serde_json::to_vec(&problem).unwrap_or_default()
}

fn check(status: u16, headers: &[(&[u8], &[u8])]) -> Result<(), UsageError> {
    if !(200..=599).contains(&status) {
        return Err(UsageError::InvalidStatus(status));
    }
    if headers.iter().all(|(name, value)| is_field(name, value)) {
        return Ok(());
    }
    Err(UsageError::InvalidHeader)
}

/// Whether this can be a field of a head: its name a token, no control byte in its value (RFC 9110 §5).
pub(crate) fn is_field(name: &[u8], value: &[u8]) -> bool {
    let is_text = |&byte: &u8| !byte.is_ascii_control() || byte == b'\t';
    is_token(name) && value.iter().all(is_text)
}

/// Fields that say how the connection goes on or where the content ends.
fn is_ours(name: &[u8]) -> bool {
    [
        &b"connection"[..],
        b"content-length",
        b"transfer-encoding",
        b"keep-alive",
    ]
    .iter()
    .any(|ours| name.eq_ignore_ascii_case(ours))
}

fn push_standing(standing: Standing<'_>, headers: &[(&[u8], &[u8])], out: &mut Vec<u8>) {
    let is_said = |name: &[u8]| headers.iter().any(|one| one.0.eq_ignore_ascii_case(name));
    if let Some(date) = standing.date
        && !is_said(b"date")
    {
        push_field(b"Date", date.as_bytes(), out);
    }
    if !is_said(NO_SNIFFING.0) {
        push_field(NO_SNIFFING.0, NO_SNIFFING.1, out);
    }
    if let Some(seconds) = standing.hsts_s
        && !is_said(STRICT_TRANSPORT)
    {
        push_field(
            STRICT_TRANSPORT,
            format!("max-age={seconds}").as_bytes(),
            out,
        );
    }
}

fn push_status_line(status: u16, out: &mut Vec<u8>) {
    push_fmt(
        format_args!("HTTP/1.1 {status} {}\r\n", reason_phrase(status)),
        out,
    );
}

fn push_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

fn push_fmt(args: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec has no way to fail.
    let _ = out.write_fmt(args);
}

/// The phrase means nothing to a client and may be empty (RFC 9112 §4), but the title of a problem should not.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
