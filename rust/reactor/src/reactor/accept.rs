//! How sockets get into a reactor: accepted by the first of the pool, assigned to the one with the fewest.

use std::net::SocketAddr;
use std::sync::Arc;

use dscore_traffic::event::Ends;

use super::{LISTENER, Reactor};
use crate::acceptor::{Acceptor, turn_away};
use crate::http::HttpPeer;
use crate::peer::Peer;
use crate::queue::{AcceptedSocket, Order};
use crate::stream::Stream;
use crate::sys::{Descriptors, Interest, Socket};

/// Turns by which descriptors that were claimed from another reactor have surely come back.
const FEW_TURNS: usize = 4;

impl Reactor {
    /// Takes a batch from the backlog.
    pub(super) fn accept(&mut self) {
        let Some(acceptor) = &mut self.acceptor else {
            return;
        };
        let now_ms = self.cx.now_ms;
        let descriptors = Descriptors::new();
        let (mut accepted, mut spent) = (Vec::new(), 0);
        let tally = acceptor.accept(now_ms, |socket, peer| {
            spent += usize::from(descriptors.are_spent(&socket));
            accepted.push((socket, peer));
            // More of them would be taken than are left: claims are served after the batch, by any reactor.
            spent < descriptors.given_at_once()
        });
        self.cx.stats.accept_errors_total += tally.errors;
        for (socket, peer) in accepted {
            if descriptors.are_spent(&socket) && !self.cx.places.claim_descriptor(now_ms) {
                turn_away(&socket);
                self.cx.stats.refused_total += 1;
                continue;
            }
            let is_short = descriptors.are_short(&socket);
            self.assign(socket, peer, is_short);
        }
        // Claims on their way may be all there are: the next to come would be told that none yields.
        let are_few = self.cx.places.would_yield() < FEW_TURNS * descriptors.given_at_once();
        if spent > 0
            && are_few
            && let Some(acceptor) = &mut self.acceptor
        {
            acceptor.wait_for_descriptors(now_ms);
        }
        if tally.lacks_descriptor {
            self.make_room_for_waiting(descriptors.given_at_once());
        }
        let is_paused = |acceptor: &Acceptor| acceptor.resume_ms.is_some();
        if self.acceptor.as_ref().is_some_and(is_paused) {
            self.watch_listener(false);
        }
    }

    /// None was left for those in the backlog: connections yield theirs, or, where none does, those that wait are told so.
    fn make_room_for_waiting(&mut self, wanted: usize) {
        let now_ms = self.cx.now_ms;
        let places = &mut self.cx.places;
        let yielded = (0..wanted).take_while(|_| places.claim_descriptor(now_ms));
        let yielded = yielded.count();
        let Some(acceptor) = &mut self.acceptor else {
            return;
        };
        if yielded > 0 {
            acceptor.wait_for_descriptors(now_ms);
        } else {
            self.cx.stats.refused_total += acceptor.turn_waiting_away(now_ms);
        }
    }

    /// Goes on where a pause kept connections waiting, once that is over.
    pub(super) fn resume_accepting(&mut self) {
        let due = self
            .acceptor
            .as_ref()
            .and_then(|acceptor| acceptor.resume_ms);
        if due.is_some_and(|at| at <= self.cx.now_ms) {
            self.watch_listener(true);
            self.accept();
        }
    }

    fn watch_listener(&mut self, watch: bool) {
        let Some(acceptor) = &self.acceptor else {
            return;
        };
        if watch == self.accepting {
            return;
        }
        let interest = Interest {
            read: watch,
            write: false,
        };
        if self
            .control_poller
            .modify(acceptor.listener(), LISTENER, interest)
            .is_ok()
        {
            self.accepting = watch;
        }
    }

    /// Gives a connection to the reactor with the fewest sockets. Where descriptors are short it gets no place.
    fn assign(&mut self, socket: Socket, peer: SocketAddr, is_short: bool) {
        let acceptor = self.acceptor.as_ref();
        let local = acceptor.map_or(peer, |acceptor| acceptor.local_address(&socket));
        self.cx.stats.accepted_total += 1;
        let handles = &self.shared.handles;
        let accepted = AcceptedSocket {
            stream: Stream::plain(socket),
            ends: Ends::plain(peer, local),
            is_extra: is_short || self.cx.places.are_taken(self.cx.settings.max_connections),
            input: Vec::new(),
        };
        let fewest = handles.iter().min_by_key(|handle| handle.load());
        let least = fewest.unwrap_or(&self.own);
        least.add_load();
        if Arc::ptr_eq(least, &self.own) {
            self.adopt(accepted);
            return;
        }
        // Never wait for another reactor: two that waited for each other would wait for ever.
        if let Err(Order::Adopt(accepted)) = least.commands.try_push(Order::Adopt(accepted)) {
            least.drop_load();
            self.own.add_load();
            self.adopt(accepted);
        }
    }

    /// Takes an accepted socket in; its place was counted when it was assigned.
    pub(super) fn adopt(&mut self, mut accepted: AcceptedSocket) {
        let http = HttpPeer::new(accepted.ends, accepted.is_extra, &mut self.cx);
        let mut peer = Peer::new(accepted.stream, http, self.cx.now_ms);
        peer.is_extra = accepted.is_extra;
        if accepted.is_extra {
            self.own.extra.add_one();
        }
        let conn = self.insert(peer);
        self.with_peer(conn, |peer, cx| {
            if !accepted.input.is_empty() {
                peer.on_data(conn, &mut accepted.input, cx);
            }
        });
    }
}
