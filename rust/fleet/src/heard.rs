//! What is heard of agents without an event for each: heartbeats are read in bulk.

use dscore_traffic::ConnId;
use dscore_traffic::event::LastSeen;

use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::page::STEP;
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
    /// Takes the next of what a reactor has read, from `from` on, and says where it goes on; `None`: that was all.
    /// Connections that own no agent any more say nothing of one.
    pub fn hear_some(&mut self, seen: &LastSeen, from: usize, is_kept: bool) -> Option<usize> {
        let to = from.saturating_add(STEP);
        let times = seen.seen_ms.iter().zip(&seen.heartbeat_ms);
        for ((&conn, (&seen_ms, &heartbeat_ms)), &rtt_us) in
            (seen.conns.iter().zip(times).zip(&seen.rtt_us))
                .take(to)
                .skip(from)
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
        (to < seen.conns.len()).then_some(to)
    }

    /// Takes a reading, unless something newer is known: it may be taken in steps. `is_kept`: it is to be written down,
    /// also where the same is known already, of a reading that was not.
    pub fn hear(&mut self, key: AgentKey, reading: &Reading, is_kept: bool) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let mut news = 0;
        let is_news =
            |ms: i64, known: Option<i64>| ms != 0 && known.is_none_or(|known| known <= ms);
        if is_news(reading.seen_ms, agent.heard_at()) {
            agent.heard_at = reading.seen_ms.into();
            news |= SEEN;
        }
        if is_news(reading.heartbeat_ms, agent.last_heartbeat()) {
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
