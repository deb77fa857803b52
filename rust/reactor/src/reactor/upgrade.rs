//! Sockets that change hands: a WebSocket takes over a session that polls, or another reactor takes a socket whose
//! request is for a session of its own.

use dscore_proto::engineio::HandshakeError;
use dscore_traffic::ConnId;

use super::Reactor;
use crate::peer::{Peer, Stage};
use crate::probe::Phase;
use crate::queue::{Newcomer, Order};
use crate::sys::Socket;

impl Reactor {
    /// A request for a WebSocket that is to take over.
    pub(super) fn begin_upgrade(
        &mut self,
        session: ConnId,
        http: ConnId,
        accept: &[u8],
    ) -> Result<(), HandshakeError> {
        if self.table.get(http).is_none() {
            return Ok(());
        }
        let (peer, _) = self.peer(session).ok_or(HandshakeError::UnknownSid)?;
        let vacant = peer
            .as_polling()
            .filter(|polling| polling.is_open() && polling.probe.is_none());
        let is_vacant = vacant.map(|polling| polling.probe = Some(http)).is_some();
        if let Some((peer, cx)) = self.peer(http) {
            cx.out.extend_from_slice(accept);
            cx.stats.http_connections -= 1;
            // A session that has a WebSocket, or is about to have one, needs no other. A refused upgrade would read as
            // 1006 in a browser.
            peer.become_probe(http, session, is_vacant, cx);
        }
        self.settle(http);
        Ok(())
    }

    /// A probe has got further.
    pub(super) fn on_probe(&mut self, conn: ConnId) {
        let Some((peer, _)) = self.peer(conn) else {
            return;
        };
        let Stage::Probe(probe) = &peer.stage else {
            return;
        };
        let (session, phase) = (probe.session, probe.phase);
        if phase == Phase::Upgraded {
            self.take_over(session, conn);
            return;
        }
        if let Some((peer, _)) = self.peer(session)
            && let Some(polling) = peer.as_polling()
        {
            polling.is_upgrading = true;
        }
        self.settle(session);
    }

    /// The probe's socket becomes the session's.
    fn take_over(&mut self, session: ConnId, probe: ConnId) {
        let can_move = self
            .table
            .get(session)
            .is_some_and(|peer| peer.can_move_to_websocket());
        let can_move = can_move && self.table.get(probe).is_some_and(Peer::has_sent_all);
        if !can_move {
            if let Some((peer, cx)) = self.peer(probe)
                && let Stage::Probe(probe) = &mut peer.stage
            {
                probe.refuse(cx);
            }
            self.settle(probe);
            return;
        }
        let Some((socket, Stage::Probe(probe))) = self.take_socket(probe) else {
            return;
        };
        if let Some((peer, cx)) = self.peer(session) {
            let polling = peer.take_over(session, socket, *probe, cx);
            self.own.drop_polling();
            self.own.add_load();
            self.settle(session);
            if let Some(polling) = polling {
                self.answer_last(*polling);
            }
        }
    }

    /// A WebSocket has gone that wanted to take over: the session polls on.
    pub(super) fn forget_probe(&mut self, session: ConnId, conn: ConnId) {
        if let Some((peer, _)) = self.peer(session)
            && let Some(polling) = peer.as_polling()
            && polling.probe == Some(conn)
        {
            polling.probe = None;
            polling.is_upgrading = false;
        }
    }

    /// Gives a socket to the reactor that has the session it asks for, with all that was read of its request.
    pub(super) fn hand_on(&mut self, conn: ConnId, reactor: u8) {
        let Some((socket, Stage::Http(mut http))) = self.take_socket(conn) else {
            return;
        };
        self.cx.stats.http_connections -= 1;
        let (ends, is_extra) = http.origin();
        let newcomer = Newcomer {
            socket,
            ends,
            is_extra,
            input: http.take_input(),
        };
        let Some(handle) = self.shared.handles.get(usize::from(reactor)) else {
            return;
        };
        handle.add_load();
        // Never wait for another reactor. A socket that finds its queue full is closed, and its client tries again.
        if handle.commands.try_push(Order::Adopt(newcomer)).is_err() {
            handle.drop_load();
        }
    }

    /// Takes a peer out of the table for its socket, which is watched by nobody then.
    fn take_socket(&mut self, conn: ConnId) -> Option<(Socket, Stage)> {
        let mut peer = self.table.remove(conn)?;
        if let Some((key, _)) = peer.timer {
            self.wheel.cancel(key);
        }
        self.leave_place(conn, &peer);
        self.own.drop_load();
        peer.uncount_input(&mut self.cx);
        let socket = peer.socket?;
        self.lobby.delete(&socket).ok()?;
        Some((socket, peer.stage))
    }
}
