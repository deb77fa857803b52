//! Memory that a burst leaves behind, what waits for peers that do not read, and what is held of peers that do not finish.

use std::collections::{BinaryHeap, VecDeque};

use dscore_traffic::ConnId;

use super::Reactor;
use crate::peer::{Peer, Stage};

/// Room in the queues of a reactor that stays after a burst.
const MAX_KEPT_CAPACITY: usize = 1024;

/// Input of one peer that is shed last: a report or an introduction that came in two parts.
const LITTLE: u64 = 4096;

/// Past its bound input is shed down to the bound less this part of it, so that the next look at all peers is not due
/// with the next byte.
const SLACK: u64 = 16;

/// Peers shed for that slack at a time, at most.
const MAX_FOR_SLACK: usize = 256;

/// Peers that hold unfinished input, by how much of it.
#[derive(Default)]
struct Holders {
    introduced: BinaryHeap<(u64, ConnId)>,
    others: BinaryHeap<(u64, ConnId)>,
    /// Bytes that the others hold together.
    others_hold: u64,
}

impl Holders {
    /// The peer to be shed next: the greediest of those that are not introduced, while one of them holds more than a
    /// little or all of them more than half; then the greediest that is; and those that hold a little last.
    fn pop(&mut self, most: u64) -> Option<ConnId> {
        let greediest = |heap: &BinaryHeap<(u64, ConnId)>| heap.peek().map_or(0, |(held, _)| *held);
        let (other, introduced) = (greediest(&self.others), greediest(&self.introduced));
        let is_other = other > LITTLE || self.others_hold > most / 2 || introduced <= LITTLE;
        if other > 0 && is_other {
            self.others_hold -= other;
            return self.others.pop().map(|(_, conn)| conn);
        }
        self.introduced.pop().map(|(_, conn)| conn)
    }
}

impl Reactor {
    /// Turns peers away when all of them hold more unfinished input than they may, until they do not.
    pub(super) fn shed_input(&mut self) {
        let most = self.cx.max_unfinished_bytes();
        if self.cx.unfinished_bytes() <= most {
            return;
        }
        let mut holders = self.input_holders();
        for shed in 0.. {
            let slack = if shed < MAX_FOR_SLACK {
                most / SLACK
            } else {
                0
            };
            if self.cx.unfinished_bytes() <= most - slack {
                return;
            }
            let Some(conn) = holders.pop(most) else {
                return;
            };
            self.with_peer(conn, |peer, cx| peer.shed_input(conn, cx));
        }
    }

    fn input_holders(&self) -> Holders {
        let mut holders = Holders::default();
        for (conn, peer) in self.peers.iter() {
            let held = peer.unfinished_input();
            if held == 0 {
                continue;
            }
            if self.is_of_introduced(peer) {
                holders.introduced.push((held, conn));
            } else {
                holders.others_hold += held;
                holders.others.push((held, conn));
            }
        }
        holders
    }

    /// Whether its input is that of an agent or a watcher that was let in: said on a WebSocket, or coming in a request.
    fn is_of_introduced(&self, peer: &Peer) -> bool {
        match &peer.stage {
            Stage::Conversation(conversation) => conversation.identity.is_introduced(),
            Stage::Http(http) => http.session_of_request().is_some_and(|sid| {
                let session = self.peers.get(sid.conn);
                session.is_some_and(|session| session.is_introduced_as(sid.secret))
            }),
            Stage::Probe(_) => false,
        }
    }

    /// Ends the peers that cost most when more waits for all of them than may: the greediest and slowest first.
    pub(super) fn shed_output(&mut self) {
        let most = self.cx.settings.output_bytes;
        if self.cx.stats.output_bytes <= most {
            return;
        }
        let now_ms = self.cx.now_ms;
        let peers = self.peers.iter();
        let mut waiting: Vec<(u64, ConnId)> = peers
            .map(|(conn, peer)| (peer.burden(now_ms), conn))
            .filter(|(burden, _)| *burden > 0)
            .collect();
        waiting.sort_unstable();
        while self.cx.stats.output_bytes > most
            && let Some((_, conn)) = waiting.pop()
        {
            self.with_peer(conn, |peer, cx| peer.shed_output(cx));
        }
    }

    /// Gives back what queues have grown to, once they are empty.
    pub(super) fn shrink_queues(&mut self) {
        shrink(&mut self.cx.requests);
        shrink(&mut self.due_sessions);
        self.cx.shrink();
    }
}

fn shrink<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > MAX_KEPT_CAPACITY {
        *queue = VecDeque::new();
    }
}
