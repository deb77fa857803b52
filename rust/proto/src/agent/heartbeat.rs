//! A heartbeat, told without a scan: a fleet sends hardly anything else.
//!
//! A shortcut and no second opinion: a text that is not surely the heartbeat of this agent is scanned like any other.

use super::flat;

/// What every agent of this project begins its heartbeats with.
const HEAD: &str = r#"{"type":"heartbeat","clientName":""#;

/// Whether a text is a heartbeat of this agent in its usual form: `type` and `clientName` first, then nothing but plain
/// strings.
///
/// # Example
/// ```
/// use dscore_proto::agent::is_heartbeat_of;
///
/// assert!(is_heartbeat_of(r#"{"type":"heartbeat","clientName":"edge-7"}"#, "edge-7"));
/// assert!(!is_heartbeat_of(r#"{"type":"heartbeat","clientName":"edge-70"}"#, "edge-7"));
/// ```
#[must_use]
pub fn is_heartbeat_of(text: &str, agent_id: &str) -> bool {
    let behind = text
        .strip_prefix(HEAD)
        .and_then(|rest| rest.strip_prefix(agent_id))
        .and_then(|rest| rest.strip_prefix('"'));
    let Some(behind) = behind.filter(|_| flat::is_plain(agent_id)) else {
        return false;
    };
    match behind.strip_prefix(',') {
        None => behind == "}",
        Some(members) => {
            // A name that is given twice counts as its last value.
            let mut is_usual = true;
            flat::read_members(members, |name, _| {
                is_usual &= !matches!(name, "type" | "clientName");
            }) && is_usual
        }
    }
}
