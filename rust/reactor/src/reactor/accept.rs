//! How sockets get into a reactor: accepted by the first of the pool, assigned to the one with the fewest.

use std::net::SocketAddr;
use std::sync::Arc;

use dscore_traffic::event::Ends;

use super::{LISTENERS, Reactor};
use crate::acceptor::{Acceptor, Entrance, Tally, ask_for_tls, turn_away};
use crate::admission::Way;
use crate::door::{Arrival, Door};
use crate::http::HttpPeer;
use crate::peer::Peer;
use crate::queue::{AcceptedSocket, Order};
use crate::stream::Moving;
use crate::sys::{Descriptors, Interest, Socket};

/// Turns by which descriptors that were claimed from another reactor have surely come back.
const FEW_TURNS: usize = 4;

impl Reactor {
    /// Takes a batch from a listener's backlog.
    pub(super) fn accept(&mut self, which: usize) {
        let Some(acceptor) = self.acceptors.get_mut(which) else {
            return;
        };
        let now_ms = self.cx.now_ms;
        let entrance = acceptor.entrance;
        let room = match (entrance, self.shared.door.as_deref()) {
            (Entrance::Tls, Some(door)) => door.room(),
            (Entrance::Either, Some(door)) => door.wide_room(),
            _ => usize::MAX,
        };
        if room == 0 {
            acceptor.wait_for_handshakes(now_ms);
            self.watch_listener(which, false);
            return;
        }
        let descriptors = Descriptors::new();
        let (mut accepted, mut spent) = (Vec::new(), 0);
        let tally = acceptor.accept(now_ms, |socket, peer| {
            spent += usize::from(descriptors.are_spent(&socket));
            accepted.push((socket, peer));
            // More of them would be taken than are left: claims are served after the batch, by any reactor.
            spent < descriptors.given_at_once() && accepted.len() < room
        });
        self.cx.stats.accept_errors_total += tally.errors;
        for (socket, peer) in accepted {
            self.admit(which, socket, peer, descriptors);
        }
        // Claims on their way may be all there are: the next to come would be told that none yields.
        let are_few = self.cx.places.would_yield() < FEW_TURNS * descriptors.given_at_once();
        self.pause_accepting(which, spent > 0 && are_few, &tally);
    }

    /// After a batch: leaves a listener alone for as long as it has nothing to accept with.
    fn pause_accepting(&mut self, which: usize, is_spent: bool, tally: &Tally) {
        let now_ms = self.cx.now_ms;
        if is_spent && let Some(acceptor) = self.acceptors.get_mut(which) {
            acceptor.wait_for_descriptors(now_ms);
        }
        if tally.lacks_descriptor {
            self.make_room_for_waiting(which, Descriptors::new().given_at_once());
        }
        let is_paused = |acceptor: &Acceptor| acceptor.resume_ms.is_some();
        if self.acceptors.get(which).is_some_and(is_paused) {
            self.watch_listener(which, false);
        }
    }

    /// Sends a socket that was just accepted on its way.
    fn admit(&mut self, which: usize, socket: Socket, peer: SocketAddr, descriptors: Descriptors) {
        let Some(acceptor) = self.acceptors.get(which) else {
            return;
        };
        let (entrance, now_ms) = (acceptor.entrance, self.cx.now_ms);
        if descriptors.are_spent(&socket) && !self.cx.places.claim_descriptor(now_ms) {
            if entrance == Entrance::Plain {
                turn_away(&socket);
            }
            self.cx.stats.refused_total += 1;
            return;
        }
        let is_short = descriptors.are_short(&socket);
        let ends = Ends::plain(peer, acceptor.local_address(&socket));
        self.cx.stats.accepted_total += 1;
        let trusted = &self.cx.settings.trusted_proxies;
        match self.shared.admission.way(entrance, peer.ip(), trusted) {
            Way::Straight => self.assign(socket, ends, is_short),
            Way::Refused => {
                self.cx.stats.plain_refused_total += 1;
                ask_for_tls(&socket);
            }
            Way::Porter(expects) => {
                let arrival = Arrival {
                    socket,
                    ends,
                    expects,
                    is_short,
                };
                let is_in = |door: &Arc<Door>| door.enter(arrival);
                if !self.shared.door.as_ref().is_some_and(is_in) {
                    self.cx.stats.refused_total += 1;
                }
            }
        }
    }

    /// None was left for those in the backlog: connections yield theirs, or, where none does, those that wait are told so.
    fn make_room_for_waiting(&mut self, which: usize, wanted: usize) {
        let now_ms = self.cx.now_ms;
        let places = &mut self.cx.places;
        let yielded = (0..wanted).take_while(|_| places.claim_descriptor(now_ms));
        let yielded = yielded.count();
        let Some(acceptor) = self.acceptors.get_mut(which) else {
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
        for which in 0..self.acceptors.len() {
            let due = self.acceptors.get(which).and_then(|one| one.resume_ms);
            if due.is_some_and(|at| at <= self.cx.now_ms) {
                self.watch_listener(which, true);
                self.accept(which);
            }
        }
    }

    fn watch_listener(&mut self, which: usize, watch: bool) {
        let Some((acceptor, token)) = self.acceptors.iter_mut().zip(LISTENERS).nth(which) else {
            return;
        };
        if watch == acceptor.is_watched {
            return;
        }
        let interest = Interest {
            read: watch,
            write: false,
        };
        if self
            .control_poller
            .modify(acceptor.listener(), token, interest)
            .is_ok()
        {
            acceptor.is_watched = watch;
        }
    }

    /// Gives a connection to the reactor with the fewest sockets. Where descriptors are short it gets no place.
    fn assign(&mut self, socket: Socket, ends: Ends, is_short: bool) {
        let handles = &self.shared.handles;
        let accepted = Box::new(AcceptedSocket {
            stream: Moving::new(socket, None),
            ends,
            certificate_names: None,
            is_extra: is_short || self.cx.places.are_taken(self.cx.settings.max_connections),
            input: Vec::new(),
        });
        let fewest = handles.iter().min_by_key(|handle| handle.load());
        let least = fewest.unwrap_or(&self.own);
        least.add_load();
        if Arc::ptr_eq(least, &self.own) {
            self.adopt(*accepted);
            return;
        }
        // Never wait for another reactor: two that waited for each other would wait for ever.
        if let Err(Order::Adopt(accepted)) = least.commands.try_push(Order::Adopt(accepted)) {
            least.drop_load();
            self.own.add_load();
            self.adopt(*accepted);
        }
    }

    /// Takes an accepted socket in; its place was counted when it was assigned.
    pub(super) fn adopt(&mut self, mut accepted: AcceptedSocket) {
        let mut http = HttpPeer::new(accepted.ends, accepted.is_extra, &mut self.cx);
        http.certificate_names = accepted.certificate_names;
        let stream = accepted.stream.unpack();
        let is_secure = stream.is_secure();
        self.cx.stats.tls_connections += u64::from(is_secure);
        let mut peer = Peer::new(stream, http, self.cx.now_ms);
        peer.is_extra = accepted.is_extra;
        if accepted.is_extra {
            self.own.extra.add_one();
        }
        let conn = self.insert(peer);
        self.with_peer(conn, |peer, cx| {
            if !accepted.input.is_empty() {
                peer.on_data(conn, &mut accepted.input, cx);
            }
            // An end that was said in TLS is known to the stream alone: no poller reports it.
            peer.hear_end(conn, cx);
        });
    }
}
