//! Sockets that change hands: a WebSocket takes over a session that polls, or another reactor takes a socket whose
//! request is for a session of its own.

use dscore_proto::engineio::HandshakeError;
use dscore_traffic::ConnId;

use super::Reactor;
use crate::peer::{Peer, Stage};
use crate::probe::Phase;
use crate::queue::{AcceptedSocket, Order};

impl Reactor {
    /// A request for a WebSocket that is to take over.
    pub(super) fn begin_upgrade(
        &mut self,
        session: ConnId,
        http: ConnId,
        accept: &[u8],
    ) -> Result<(), HandshakeError> {
        if self.peers.get(http).is_none() {
            return Ok(());
        }
        let is_vacant = self.with_peer(session, |peer, _| {
            let vacant = peer
                .as_polling()
                .filter(|polling| polling.is_open() && polling.probe.is_none());
            vacant.map(|polling| polling.probe = Some(http)).is_some()
        });
        let is_vacant = is_vacant.ok_or(HandshakeError::UnknownSid)?;
        self.with_peer(http, |peer, cx| {
            cx.out.extend_from_slice(accept);
            cx.stats.http_connections -= 1;
            // A session that has a WebSocket, or is about to have one, needs no other. A refused upgrade would read as
            // 1006 in a browser.
            peer.become_probe(http, session, is_vacant, cx);
        });
        Ok(())
    }

    /// A probe has got further.
    pub(super) fn on_probe(&mut self, conn: ConnId) {
        let Some(Stage::Probe(probe)) = self.peers.get(conn).map(|peer| &peer.stage) else {
            return;
        };
        let (session, phase) = (probe.session, probe.phase);
        if phase == Phase::Upgraded {
            self.take_over(session, conn);
            return;
        }
        self.with_peer(session, |peer, _| {
            if let Some(polling) = peer.as_polling() {
                polling.is_upgrading = true;
            }
        });
    }

    /// The probe's socket becomes the session's.
    fn take_over(&mut self, session: ConnId, probe: ConnId) {
        let session_peer = self.peers.get(session);
        let can_move = session_peer.is_some_and(Peer::can_move_to_websocket)
            && self.peers.get(probe).is_some_and(Peer::has_sent_all);
        if !can_move {
            self.refuse_probe(probe);
            return;
        }
        let Some((stream, Stage::Probe(probe))) = self.take_stream(probe) else {
            return;
        };
        self.own.add_load();
        self.cx.stats.tls_connections += u64::from(stream.is_secure());
        let polling = self.with_peer(session, |peer, cx| {
            peer.take_over(session, stream, *probe, cx)
        });
        self.own.drop_polling();
        if let Some(polling) = polling.flatten() {
            self.answer_last(*polling);
        }
    }

    /// A WebSocket has gone that wanted to take over: the session polls on.
    pub(super) fn forget_probe(&mut self, session: ConnId, conn: ConnId) {
        self.with_peer(session, |peer, _| {
            if let Some(polling) = peer.as_polling()
                && polling.probe == Some(conn)
            {
                polling.probe = None;
                polling.is_upgrading = false;
            }
        });
    }

    pub(super) fn refuse_probe(&mut self, conn: ConnId) {
        self.with_peer(conn, |peer, cx| {
            if let Stage::Probe(probe) = &mut peer.stage {
                probe.refuse(cx);
            }
        });
    }

    /// Gives a socket to the reactor that has the session it asks for, with all that was read of its request.
    pub(super) fn transfer(&mut self, conn: ConnId, reactor: u8) {
        let Some((stream, Stage::Http(mut http))) = self.take_stream(conn) else {
            return;
        };
        self.cx.stats.http_connections -= 1;
        self.cx.release_address(conn);
        let (ends, is_extra) = http.origin();
        let accepted = AcceptedSocket {
            stream: stream.pack(),
            ends,
            certificate_names: http.certificate_names.take(),
            is_extra,
            input: http.take_input(),
        };
        let Some(handle) = self.shared.handles.get(usize::from(reactor)) else {
            return;
        };
        handle.add_load();
        // Never wait for another reactor. A socket that finds its queue full is closed, and its client tries again.
        if handle
            .commands
            .try_push(Order::Adopt(Box::new(accepted)))
            .is_err()
        {
            handle.drop_load();
        }
    }
}
