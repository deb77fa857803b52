//! How often connections of agents have ended, and how: counted in words that no peer can choose.

use std::collections::HashMap;

use dscore_traffic::event::Closed;

/// How often connections of agents have ended, by reason, close code and initiator: none of it can be chosen by a peer.
pub type Disconnects = HashMap<(&'static str, &'static str, &'static str), u64>;

/// As what an end is counted.
pub(crate) fn kind_of(closed: &Closed) -> (&'static str, &'static str, &'static str) {
    let info = &closed.info;
    (
        reason_name(&info.cause),
        code_name(info.code),
        info.initiator.name(),
    )
}

/// Cause -> what it is counted as.
fn reason_name(cause: &str) -> &'static str {
    match cause {
        "" => "none",
        "heartbeat_timeout" => "heartbeat_timeout",
        "operator" => "operator",
        "ping_timeout" => "ping_timeout",
        "protocol_error" => "protocol_error",
        "shutdown" => "shutdown",
        "slow_consumer" => "slow_consumer",
        "taken_over" => "taken_over",
        _ => "other",
    }
}

fn code_name(code: u16) -> &'static str {
    match code {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        4409 => "4409",
        _ => "other",
    }
}
