//! What the driver of the run says, and what it is told.

use serde_json::json;

use super::{Fleet, SECOND};
use crate::agent::Phase;
use crate::control::{Command, Message, emit};
use crate::peer::Peer;

impl Fleet<'_> {
    /// Tells, once, that no introduction is under way any more, and lets the heartbeats begin.
    pub(super) fn note_introductions(&mut self) {
        if self.all_introduced || self.begun < self.peers.len() || self.under_way > 0 {
            return;
        }
        self.all_introduced = true;
        emit(&json!({
            "event": "introduced",
            "count": self.tally.introduced,
            "seconds": self.tally.introduction_seconds(),
            "started_ns": self.tally.connect_started,
            "ended_ns": self.tally.last_introduced,
        }));
        self.switch_heartbeats();
    }

    pub(super) fn obey_commands(&mut self) {
        self.inbox.reset();
        while let Some(command) = self.inbox.take() {
            match command {
                Command::Trigger(at) => self.tally.trigger = Some(at),
                Command::Heartbeats(on) => {
                    self.heartbeats_wanted = on;
                    self.switch_heartbeats();
                }
                Command::Vanish(n) => self.vanish(n),
                Command::Message(message) => self.say_all(&message),
                Command::Stop => self.tally.stopped = true,
            }
        }
    }

    fn vanish(&mut self, n: usize) {
        let open = |peer: &Peer| peer.agent.phase == Phase::Open;
        let slots: Vec<usize> = (0..self.peers.len())
            .filter(|slot| open(&self.peers[*slot]))
            .take(n)
            .collect();
        self.tally.vanished += slots.len() as u64;
        for slot in slots {
            self.end(slot, true);
        }
    }

    fn say_all(&mut self, message: &Message) {
        let text = self.options.dialect.translate(message);
        for peer in self
            .peers
            .iter_mut()
            .filter(|peer| peer.agent.phase == Phase::Open)
        {
            peer.agent.say(&text, &mut self.out);
            peer.flush(&mut self.out);
        }
    }

    pub(super) fn tell_progress(&mut self, now: u64) {
        if now < self.progress_at {
            return;
        }
        self.progress_at = now + SECOND;
        emit(&json!({
            "event": "progress",
            "introduced": self.tally.introduced,
            "open": self.open,
            "heartbeats_sent": self.tally.heartbeats_sent,
            "heartbeats_answered": self.tally.heartbeat_latency.len(),
            "terminate_received": self.tally.receipts.len(),
            "ended": self.tally.ends.len(),
        }));
    }
}
