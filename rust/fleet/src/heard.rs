//! What is heard of agents without an event for each: heartbeats are read in bulk.

use dscore_traffic::ConnId;
use dscore_traffic::event::LastSeen;

use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::unsaved::{BEAT, SEEN};

/// The last of what the core has heard of a connection; 0: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// When something came.
    pub seen_ms: i64,
    /// When a heartbeat did.
    pub heartbeat_ms: i64,
    /// The round trip of the last ping that was answered, in µs.
    pub rtt_us: u32,
}

impl Fleet {
    /// Takes what a reactor has read. Connections that own no agent any more say nothing of one.
    pub fn hear_all(&mut self, seen: &LastSeen, is_kept: bool) {
        let times = seen.seen_ms.iter().zip(&seen.heartbeat_ms);
        for ((&conn, (&seen_ms, &heartbeat_ms)), &rtt_us) in
            seen.conns.iter().zip(times).zip(&seen.rtt_us)
        {
            let reading = Reading {
                seen_ms: seen_ms.cast_signed(),
                heartbeat_ms: heartbeat_ms.cast_signed(),
                rtt_us,
            };
            if let Some(key) = self.owner(ConnId::from_u64(conn)) {
                self.hear(key, &reading, is_kept);
            }
        }
    }

    /// Takes a reading. `is_kept`: it is to be written down.
    pub fn hear(&mut self, key: AgentKey, reading: &Reading, is_kept: bool) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let mut news = 0;
        if reading.seen_ms != 0 {
            agent.heard_at = reading.seen_ms.into();
            news |= SEEN;
        }
        if reading.heartbeat_ms != 0 {
            agent.last_heartbeat = reading.heartbeat_ms.into();
            news |= BEAT;
        }
        if reading.rtt_us != 0 {
            agent.rtt_us = reading.rtt_us;
        }
        if is_kept && news != 0 {
            self.touch(key, news);
        }
    }
}
