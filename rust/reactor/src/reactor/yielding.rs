//! Connections that give up their places, or their descriptors, to agents: see [`crate::places`].

use dscore_proto::close::CloseCode;
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;

use super::Reactor;
use crate::claim::Claim;
use crate::peer::Stage;
use crate::queue::Order;

impl Reactor {
    /// Meets what the handlers of this turn have claimed.
    pub(super) fn serve_claims(&mut self) {
        while let Some((number, claim)) = self.cx.places.next_claim() {
            if number == usize::from(self.cx.reactor) {
                self.yield_to(claim);
                continue;
            }
            // Never wait for another reactor. A claim that is lost costs one connection more for a while.
            if let Some(handle) = self.shared.handles.get(number)
                && handle.commands.try_push(Order::Yield(claim)).is_err()
            {
                match claim {
                    Claim::Place => handle.yields.add_one(),
                    Claim::Descriptor => handle.yields_extra.add_one(),
                }
            }
        }
    }

    /// Ends the connection that is the first to yield.
    pub(super) fn yield_to(&mut self, claim: Claim) {
        // It was taken off the count by the claim, and will be once more by going.
        match claim {
            Claim::Place => self.own.yields.add_one(),
            Claim::Descriptor => self.own.yields_extra.add_one(),
        }
        let peers = &self.peers;
        let Some(conn) = self.yielding.next(claim, |conn| peers.stands(conn)) else {
            return;
        };
        self.make_way(conn);
    }

    /// One session more polls that has not introduced itself: where they are too many, the first of them goes.
    pub(super) fn make_room_for_polling(&mut self) {
        let (max, reactors) = (
            self.cx.settings.max_connections,
            usize::from(self.cx.reactors),
        );
        if self.yielding.is_polling_full(max, reactors) {
            let peers = &self.peers;
            let first = self.yielding.next_polling(|conn| peers.stands(conn));
            if let Some(conn) = first {
                self.make_way(conn);
            }
        }
    }

    fn make_way(&mut self, conn: ConnId) {
        self.cx.stats.yielded_total += 1;
        let Some(peer) = self.peers.get(conn) else {
            return;
        };
        if matches!(peer.stage, Stage::Conversation(_)) && peer.stream.is_none() {
            let reason = "Server connection limit reached";
            self.end_session(
                conn,
                &CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason, ""),
            );
        } else {
            self.with_peer(conn, |peer, _| peer.finished = true);
        }
    }

    /// Lets the other reactors know since when the longest idle connection idles.
    pub(super) fn publish_yielding(&mut self) {
        let peers = &self.peers;
        self.yielding.sweep(|conn| peers.stands(conn));
        self.own.set_idle_since(self.yielding.idle_since());
        self.own.set_extra_since(self.yielding.extra_since());
        self.cx.stats.polling_unauthenticated = self.yielding.polling() as u64;
    }
}
