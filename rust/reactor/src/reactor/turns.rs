//! Upgrades and Engine.IO openings whose turn has come: see [`crate::pacer`].

use super::Reactor;
use crate::pacer::Turn;
use crate::peer::Stage;

/// Served in one turn of the loop.
const MAX_BATCH: usize = 64;

impl Reactor {
    /// Lets go on what has waited for its turn.
    pub(super) fn serve_turns(&mut self) {
        for _ in 0..MAX_BATCH {
            let Some((conn, turn)) = self.cx.next_turn() else {
                return;
            };
            self.with_peer(conn, |peer, cx| {
                if let Stage::Http(http) = &mut peer.stage {
                    match turn {
                        Turn::Go => http.take_turn(),
                        Turn::ComeAgain(seconds) => http.send_away(seconds, cx),
                        Turn::Wait => {}
                    }
                }
                peer.on_data(conn, &mut [], cx);
            });
        }
    }
}
