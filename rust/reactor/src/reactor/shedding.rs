//! Memory that a burst leaves behind, and what waits for peers that do not read.

use std::collections::VecDeque;

use super::Reactor;
use crate::table::ConnId;

/// Room in the queues of a reactor that stays after a burst.
const KEPT_ROOM: usize = 1024;

impl Reactor {
    /// Ends the peers that cost most when more waits for all of them than may: the greediest and slowest first.
    pub(super) fn shed_output(&mut self) {
        let most = self.cx.settings.output_bytes;
        if self.cx.stats.output_bytes <= most {
            return;
        }
        let now_ms = self.cx.now_ms;
        let peers = self.table.iter();
        let mut waiting: Vec<(u64, ConnId)> = peers
            .map(|(conn, peer)| (peer.burden(now_ms), conn))
            .filter(|(burden, _)| *burden > 0)
            .collect();
        waiting.sort_unstable();
        while self.cx.stats.output_bytes > most
            && let Some((_, conn)) = waiting.pop()
        {
            if let Some(peer) = self.table.get_mut(conn) {
                peer.shed_output(&mut self.cx);
            }
            self.settle(conn);
        }
    }

    /// Gives back what queues have grown to, once they are empty.
    pub(super) fn shrink_queues(&mut self) {
        shrink(&mut self.cx.requests);
        shrink(&mut self.to_speak_to);
        self.cx.shrink();
    }
}

fn shrink<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > KEPT_ROOM {
        *queue = VecDeque::new();
    }
}
