//! The peers of a reactor. Only this file can change one, and it settles each that was worked on: [`Reactor::with_peer`]
//! brings its output to the socket, its interest and its timer up to date, or ends it. Peers leave the table here and nowhere
//! else.

use std::collections::VecDeque;

use dscore_traffic::ConnId;
use dscore_traffic::command::ServingState;
use dscore_wheel::Wheel;
use rustix::io::Errno;

use super::{Reactor, TICK_MS};
use crate::context::Context;
use crate::peer::{Peer, Stage};
use crate::places::Standing;
use crate::stream::Stream;
use crate::sys::Poller;
use crate::table::{SlotId, Table};
use crate::watch::{Watch, WatchChange, WatchedBy};

/// All peers of one reactor, to be looked at.
pub(super) struct Peers(Table<Peer>);

impl Peers {
    pub(super) fn with_capacity(reactor: u8, capacity: usize) -> Self {
        Self(Table::with_capacity(reactor, capacity))
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Peer> {
        self.0.get(conn)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Peer)> {
        self.0.iter()
    }

    /// The first peer in or behind this slot: see [`Table::next_from`].
    pub(super) fn next_from(&self, index: usize) -> Option<ConnId> {
        self.0.next_from(index)
    }

    /// Whose timer has fired: one is cancelled when its peer goes, so it is that of the peer in its slot.
    pub(super) fn in_slot(&self, slot: SlotId) -> Option<ConnId> {
        self.0.id_in(slot)
    }

    /// How a connection stands, and when it last did something.
    pub(super) fn stands(&self, conn: ConnId) -> Option<(Standing, u64)> {
        self.get(conn).map(|peer| (peer.standing, peer.last_seen))
    }

    /// Its socket was reported, and is not read in this turn.
    pub(super) fn leave_unread(&mut self, conn: ConnId) {
        if let Some(peer) = self.0.get_mut(conn) {
            peer.set_unread(true);
        }
    }
}

impl Reactor {
    /// Takes a peer in.
    pub(super) fn insert(&mut self, peer: Peer) -> ConnId {
        self.peers.0.insert(peer)
    }

    /// Works on a peer, and settles it: what was written for it is on its way, and it may have ended, when this returns.
    /// `None` if it has gone before.
    pub(super) fn with_peer<R>(
        &mut self,
        conn: ConnId,
        work: impl FnOnce(&mut Peer, &mut Context) -> R,
    ) -> Option<R> {
        let peer = self.peers.0.get_mut(conn)?;
        debug_assert!(self.cx.out.is_empty(), "bytes of another peer");
        peer.catch_up(self.cx.now_ms);
        let result = work(peer, &mut self.cx);
        self.settle(conn);
        Some(result)
    }

    /// After a handler: output to the socket, then the end of the peer, or its interest and timer.
    fn settle(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.0.get_mut(conn) else {
            return;
        };
        peer.count_input(conn, &mut self.cx);
        peer.transmit(&mut self.cx);
        peer.finish_if_done();
        if peer.finished {
            self.remove(conn);
            return;
        }
        if let Some(reactor) = peer.moves_to() {
            self.transfer(conn, reactor);
            return;
        }
        let standing = peer.standing();
        if standing != peer.standing {
            let change = (std::mem::replace(&mut peer.standing, standing), standing);
            self.yielding.note(conn, self.cx.now_ms, change, &self.own);
        }
        if let Some(at_ms) = peer.due_at(self.cx.now_ms) {
            queue_session(&mut self.due_sessions, (at_ms, conn), self.cx.now_ms);
        }
        // Where agents are met by a drain or another walk, what is no agent is to wait for its likes only.
        let is_quiet = self.cx.serving == ServingState::Open && self.walks.is_empty();
        let begin = if is_quiet {
            WatchedBy::Peers
        } else {
            WatchedBy::Control
        };
        let plan = peer.plan_watch(begin);
        let pollers = (&self.peer_poller, &self.control_poller);
        if watch(peer, conn, plan, pollers).is_err() {
            // The kernel is out of memory for it. A peer that is not watched would never be heard again.
            peer.finished = true;
            self.remove(conn);
            return;
        }
        peer.note_held(self.cx.now_ms);
        arm(peer, conn, peer.next_deadline(&self.cx), &mut self.wheel);
    }

    /// Ends a peer, whatever it was doing.
    pub(super) fn remove(&mut self, conn: ConnId) {
        let Some(mut peer) = self.take(conn) else {
            return;
        };
        match &mut peer.stream {
            Some(stream) => {
                stream.say_goodbye();
                self.cx.stats.tls_connections -= u64::from(stream.is_secure());
                self.own.drop_load();
            }
            None => self.own.drop_polling(),
        }
        peer.uncount_input(&mut self.cx);
        match peer.into_stage(&mut self.cx) {
            Stage::Conversation(conversation) => {
                self.cx.release_address(conn);
                if let Some(polling) = conversation.conclude(conn, &mut self.cx) {
                    self.answer_last(*polling);
                }
            }
            Stage::Http(mut http) => {
                self.cx.release_address(conn);
                http.release(conn, &mut self.cx);
                if let Some(session) = http.session {
                    self.abandon(session, conn);
                }
                if let Some(session) = http.lost_session() {
                    self.lose_session(session);
                }
            }
            Stage::Probe(probe) => self.forget_probe(probe.session, conn),
        }
    }

    /// Takes a peer out for its stream, whose socket no poller watches then.
    pub(super) fn take_stream(&mut self, conn: ConnId) -> Option<(Stream, Stage)> {
        let mut peer = self.take(conn)?;
        self.own.drop_load();
        peer.uncount_input(&mut self.cx);
        let mut stream = peer.stream?;
        self.cx.stats.tls_connections -= u64::from(stream.is_secure());
        match stream.watch.take().map(|watch| watch.by) {
            Some(WatchedBy::Peers) => self.peer_poller.delete(&stream).ok()?,
            Some(WatchedBy::Control) => self.control_poller.delete(&stream).ok()?,
            None => {}
        }
        Some((stream, peer.stage))
    }

    fn take(&mut self, conn: ConnId) -> Option<Peer> {
        let peer = self.peers.0.remove(conn)?;
        if let Some((key, _)) = peer.timer {
            self.wheel.cancel(key);
        }
        if peer.standing != Standing::Kept {
            let change = (peer.standing, Standing::Kept);
            self.yielding.note(conn, self.cx.now_ms, change, &self.own);
        }
        if peer.is_extra {
            self.own.extra.drop_one();
        }
        Some(peer)
    }
}

/// Lets the right poller watch a socket for the right things.
fn watch(
    peer: &mut Peer,
    conn: ConnId,
    plan: Watch,
    (peer_poller, control_poller): (&Poller, &Poller),
) -> Result<(), Errno> {
    let Some(change) = plan.change_from(peer.watch()) else {
        return Ok(());
    };
    let Some(stream) = &mut peer.stream else {
        return Ok(());
    };
    let token = conn.to_u64();
    let poller = |watcher| match watcher {
        WatchedBy::Peers => peer_poller,
        WatchedBy::Control => control_poller,
    };
    let watcher = poller(plan.by);
    match change {
        WatchChange::Add => watcher.add(&*stream, token, plan.interest)?,
        WatchChange::Modify => watcher.modify(&*stream, token, plan.interest)?,
        WatchChange::Move(from) => {
            poller(from).delete(&*stream)?;
            watcher.add(&*stream, token, plan.interest)?;
        }
    }
    stream.watch = Some(plan);
    Ok(())
}

/// Queues a session that is to be flushed. Those that cannot wait stand in front: the queue stays in the order of its times.
fn queue_session(queue: &mut VecDeque<(u64, ConnId)>, due: (u64, ConnId), now_ms: u64) {
    if due.0 <= now_ms {
        queue.push_front(due);
    } else {
        queue.push_back(due);
    }
}

/// Sees to it that a peer's timer fires by its deadline; earlier will do: then it is armed again. Traffic thus never moves a
/// timer.
fn arm(peer: &mut Peer, conn: ConnId, deadline: u64, wheel: &mut Wheel<SlotId>) {
    // Behind its millisecond, not with it: a deadline is counted from a time that was cut to one, and would be early by the rest.
    let tick = deadline / TICK_MS + 1;
    match peer.timer {
        Some((_, armed)) if armed <= deadline => {}
        _ if deadline == u64::MAX => {}
        Some((key, _)) => {
            wheel.rearm(key, tick);
            peer.timer = Some((key, deadline));
        }
        None => {
            let key = wheel.arm(tick, SlotId::of(conn));
            peer.timer = Some((key, deadline));
        }
    }
}
