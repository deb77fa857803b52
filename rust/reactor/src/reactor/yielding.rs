//! Connections that give up their places, or their descriptors, to agents: see [`crate::places`].

use dscore_proto::close::CloseCode;
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;

use super::Reactor;
use crate::claim::Claim;
use crate::peer::{Peer, Stage};
use crate::places::Standing;
use crate::queue::Order;
use crate::table::Table;

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
        let table = &self.table;
        let Some(conn) = self.yielding.next(claim, |conn| stands(table, conn)) else {
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
            let table = &self.table;
            let first = self.yielding.next_polling(|conn| stands(table, conn));
            if let Some(conn) = first {
                self.make_way(conn);
            }
        }
    }

    fn make_way(&mut self, conn: ConnId) {
        self.cx.stats.yielded_total += 1;
        let Some(peer) = self.table.get_mut(conn) else {
            return;
        };
        if matches!(peer.stage, Stage::Conversation(_)) && peer.socket.is_none() {
            let reason = "Server connection limit reached";
            self.end_session(
                conn,
                &CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason, ""),
            );
        } else {
            peer.finished = true;
            self.settle(conn);
        }
    }

    /// A peer has left the table.
    pub(super) fn leave_place(&mut self, conn: ConnId, peer: &Peer) {
        if peer.standing != Standing::Kept {
            let change = (peer.standing, Standing::Kept);
            self.yielding.note(conn, self.cx.now_ms, change, &self.own);
        }
        if peer.is_extra {
            self.own.extra.drop_one();
        }
    }

    /// Lets the other reactors know since when the longest idle connection idles.
    pub(super) fn publish_yielding(&mut self) {
        let table = &self.table;
        self.yielding.sweep(|conn| stands(table, conn));
        self.own.set_idle_since(self.yielding.idle_since());
        self.own.set_extra_since(self.yielding.extra_since());
        self.cx.stats.polling_unauthenticated = self.yielding.polling() as u64;
    }
}

/// How a connection stands, and when it last did something.
fn stands(table: &Table<Peer>, conn: ConnId) -> Option<(Standing, u64)> {
    table.get(conn).map(|peer| (peer.standing, peer.last_seen))
}
