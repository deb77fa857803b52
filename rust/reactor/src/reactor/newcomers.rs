//! How newcomers get into a reactor: accepted by the first of the pool, handed to the one with the fewest sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{LISTENER, Reactor};
use crate::acceptor::turn_away;
use crate::event::Ends;
use crate::http_peer::HttpPeer;
use crate::peer::Peer;
use crate::places::Claim;
use crate::queue::{Newcomer, Order};
use crate::sys::{Descriptors, Interest, Socket};

impl Reactor {
    /// Takes a batch from the backlog.
    pub(super) fn accept(&mut self) {
        let Some(acceptor) = &mut self.acceptor else {
            return;
        };
        let mut accepted = Vec::new();
        let tally = acceptor.accept(self.cx.now_ms, |socket, peer| {
            accepted.push((socket, peer));
        });
        self.cx.stats.accept_errors_total += tally.errors;
        self.cx.stats.refused_total += tally.turned_away;
        if acceptor.resume_ms.is_some() {
            self.watch_listener(false);
        }
        let descriptors = Descriptors::new();
        for (socket, peer) in accepted {
            if descriptors.are_spent(&socket) && !self.cx.places.claim(Claim::Descriptor) {
                turn_away(&socket);
                self.cx.stats.refused_total += 1;
                continue;
            }
            let is_short = descriptors.are_short(&socket);
            self.hand_out(socket, peer, is_short);
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
            .lobby
            .modify(acceptor.listener(), LISTENER, interest)
            .is_ok()
        {
            self.accepting = watch;
        }
    }

    /// Gives a connection to the reactor with the fewest sockets. Where descriptors are short it gets no place.
    fn hand_out(&mut self, socket: Socket, peer: SocketAddr, is_short: bool) {
        let acceptor = self.acceptor.as_ref();
        let local = acceptor.map_or(peer, |acceptor| acceptor.local_address(&socket));
        self.cx.stats.accepted_total += 1;
        let handles = &self.shared.handles;
        let newcomer = Newcomer {
            socket,
            ends: Ends { peer, local },
            is_extra: is_short || self.cx.places.are_taken(self.cx.settings.max_connections),
            input: Vec::new(),
        };
        let fewest = handles.iter().min_by_key(|handle| handle.load());
        let least = fewest.unwrap_or(&self.own);
        least.add_load();
        if Arc::ptr_eq(least, &self.own) {
            self.adopt(newcomer);
            return;
        }
        // Never wait for another reactor: two that waited for each other would wait for ever.
        if let Err(Order::Adopt(newcomer)) = least.commands.try_push(Order::Adopt(newcomer)) {
            least.drop_load();
            self.own.add_load();
            self.adopt(newcomer);
        }
    }

    /// Takes a newcomer in; its place was counted by whoever handed it out.
    pub(super) fn adopt(&mut self, mut newcomer: Newcomer) {
        let http = HttpPeer::new(newcomer.ends, newcomer.is_extra, &mut self.cx);
        let mut peer = Peer::new(newcomer.socket, http, self.cx.now_ms);
        peer.is_extra = newcomer.is_extra;
        if newcomer.is_extra {
            self.own.extra.add_one();
        }
        let conn = self.table.insert(peer);
        if let Some(peer) = self.table.get_mut(conn)
            && !newcomer.input.is_empty()
        {
            peer.on_data(conn, &mut newcomer.input, &mut self.cx);
        }
        self.settle(conn);
    }
}
