//! The messages the core writes itself. Keys stand in the order of PROTOCOL.md §3.

use std::io::Write;

use super::RefusalCode;

/// `terminate_app` up to its request id (36 bytes, a UUID), which alone differs from agent to
/// agent.
pub const TERMINATE_HEAD: &[u8] = br#"{"type":"terminate_app","request_id":""#;

/// A `type` longer than this is not repeated to its sender.
const MAX_REQUEST_TYPE: usize = 128;

/// Appends an `error`.
pub fn encode_error(
    code: RefusalCode,
    message: &str,
    request_type: Option<&str>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"type":"error","code":""#);
    out.extend_from_slice(code.as_str().as_bytes());
    out.extend_from_slice(br#"","message":"#);
    encode_string(message, out);
    if let Some(request_type) = request_type.filter(|kind| kind.len() <= MAX_REQUEST_TYPE) {
        out.extend_from_slice(br#","request_type":"#);
        encode_string(request_type, out);
    }
    out.push(b'}');
}

/// Appends a `heartbeat_response`. `timestamp` is written as it is; `message_json` is a JSON
/// string, quotes included ([`encode_string`] makes one): it is the same for every agent and need
/// not be escaped each time.
pub fn encode_heartbeat_response(
    timestamp: &str,
    message_json: &str,
    next_ms: u64,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"type":"heartbeat_response","status":"ok","timestamp":""#);
    out.extend_from_slice(timestamp.as_bytes());
    out.extend_from_slice(br#"","message":"#);
    out.extend_from_slice(message_json.as_bytes());
    out.extend_from_slice(br#","nextHeartbeatIn":"#);
    push_number(next_ms, out);
    out.push(b'}');
}

/// Appends a `connection_check`. `timestamp` is written as it is.
pub fn encode_connection_check(
    client_name: &str,
    timestamp: &str,
    expect_within_ms: u64,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(br#"{"type":"connection_check","client_name":"#);
    encode_string(client_name, out);
    out.extend_from_slice(br#","timestamp":""#);
    out.extend_from_slice(timestamp.as_bytes());
    out.extend_from_slice(br#"","expect_response_within":"#);
    push_number(expect_within_ms, out);
    out.push(b'}');
}

/// Appends `terminate_app` after its request id.
pub fn encode_terminate_tail(reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"","reason":"#);
    encode_string(reason, out);
    out.push(b'}');
}

/// Appends `text` as a JSON string, quotes included.
pub fn encode_string(text: &str, out: &mut Vec<u8>) {
    // A string has no way to fail, nor has writing to a Vec.
    let _ = serde_json::to_writer(out, text);
}

fn push_number(number: u64, out: &mut Vec<u8>) {
    // Writing to a Vec has no way to fail.
    let _ = write!(out, "{number}");
}
