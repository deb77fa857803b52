//! The input that is held of a peer, which is counted, and shed where all peers together hold too much.

use dscore_traffic::ConnId;

use super::{Peer, Stage};
use crate::context::Context;
use crate::engineio_request::EngineIoRequest;
use crate::probe::Phase;
use crate::stream::Stream;

impl Peer {
    /// Input that is held until the rest of it comes, or its turn, as last counted.
    pub(crate) fn unfinished_input(&self) -> u64 {
        u64::from(self.held_input) - u64::from(self.asked_input())
    }

    /// Those of a request that waits for its answer, as last counted.
    fn asked_input(&self) -> u32 {
        match &self.stage {
            Stage::Http(http) => http.counted,
            Stage::Conversation(_) | Stage::Probe(_) => 0,
        }
    }

    /// Counts the input that is held. What all peers hold too much of is for the reactor to shed.
    pub(crate) fn count_input(&mut self, conn: ConnId, cx: &mut Context) {
        self.let_go(conn, cx);
        let (held, asked) = match &self.stage {
            Stage::Http(http) => (http.held_input(), http.asked_input()),
            Stage::Conversation(conversation) => (conversation.held_input(), 0),
            Stage::Probe(probe) => (probe.held_input(), 0),
        };
        let held = held + self.stream.as_ref().map_or(0, Stream::held);
        self.set_input(held, asked, cx);
    }

    /// It is no more, or is to be counted anew: as that of another stage, or elsewhere.
    pub(crate) fn uncount_input(&mut self, cx: &mut Context) {
        self.set_input(0, 0, cx);
    }

    fn set_input(&mut self, held: usize, asked: usize, cx: &mut Context) {
        // No message or body may be that long.
        let short = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (held, asked) = (short(held), short(asked));
        cx.stats.input_bytes += u64::from(held);
        cx.stats.input_bytes -= u64::from(std::mem::replace(&mut self.held_input, held));
        cx.asked_bytes += u64::from(asked);
        cx.asked_bytes -= u64::from(self.asked_input());
        if let Stage::Http(http) = &mut self.stage {
            http.counted = asked;
        }
    }

    /// All peers together hold too much input, and this one is to hold nothing from now on.
    pub(crate) fn shed_input(&mut self, conn: ConnId, cx: &mut Context) {
        match &mut self.stage {
            Stage::Http(http) => http.turn_away(conn, cx),
            Stage::Conversation(conversation) if conversation.is_open() => {
                conversation.turn_away(cx);
            }
            Stage::Probe(probe) if probe.phase != Phase::Refused => probe.refuse(cx),
            // It was told to go before: what it holds is the beginning of a frame.
            Stage::Conversation(_) | Stage::Probe(_) => self.finished = true,
        }
    }

    /// Input that was kept for later is looked through once more when there is no later: only the peer's close frame
    /// is still of use in it.
    fn let_go(&mut self, conn: ConnId, cx: &mut Context) {
        let keeps_in_vain = match &mut self.stage {
            Stage::Http(_) => false,
            Stage::Conversation(conversation) => {
                if let Some(http) = conversation.late_request() {
                    cx.requests.push_back(EngineIoRequest::Discard(http));
                }
                conversation.keeps_in_vain()
            }
            Stage::Probe(probe) => probe.keeps_in_vain(),
        };
        if keeps_in_vain {
            self.on_data(conn, &mut [], cx);
        }
    }
}
