//! How far a Socket.IO client has come: the namespaces that it has joined, an event whose attachments are coming, and
//! events that came before its introduction.

use dscore_proto::socketio::{self, Kind};

use super::MAIN;
use super::early::Early;
use crate::context::Context;
use crate::engine_io;

/// How far a Socket.IO client has come.
#[derive(Debug, Default)]
pub(crate) struct SocketIo {
    joined_main: bool,
    /// It gave a token when it joined.
    pub(crate) has_token: bool,
    /// Namespaces beside "/".
    joined: Vec<Box<str>>,
    pub(super) partial: Option<Box<Partial>>,
    /// Of a connection that is unauthenticated: what waits for its introduction.
    pub(super) early: Option<Box<Early>>,
}

/// A packet whose attachments are coming.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) text: Box<str>,
    pub(super) lacking: usize,
    pub(super) attachments: Vec<Box<[u8]>>,
    pub(super) bytes: usize,
}

impl SocketIo {
    pub(crate) fn is_joined(&self) -> bool {
        self.joined_main
    }

    /// It has left every namespace that it was in.
    pub(super) fn has_left(&self) -> bool {
        !self.joined_main && self.joined.is_empty()
    }

    pub(crate) fn held_input(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |partial| partial.bytes);
        partial + self.early.as_ref().map_or(0, |early| early.held())
    }

    /// Forgets events that wait for an introduction or for their attachments: the connection ends.
    pub(crate) fn drop_input(&mut self) {
        (self.early, self.partial) = (None, None);
    }

    /// Whether binary data belongs to an event that came before.
    pub(crate) fn expects_binary(&self) -> bool {
        self.partial.is_some()
    }

    /// Queues a DISCONNECT from every namespace: after it the client does not come back by itself.
    pub(crate) fn disconnect(&self, cx: &mut Context) {
        let main = self.joined_main.then_some(MAIN);
        for namespace in main
            .into_iter()
            .chain(self.joined.iter().map(|name| &**name))
        {
            let mut packet = Vec::new();
            socketio::encode_head(Kind::Disconnect, namespace, None, 0, &mut packet);
            engine_io::encode_text(&packet, &mut cx.out);
        }
    }

    pub(super) fn has_joined(&self, namespace: &str) -> bool {
        if namespace == MAIN {
            self.joined_main
        } else {
            self.joined.iter().any(|joined| **joined == *namespace)
        }
    }

    pub(super) fn join(&mut self, namespace: &str) {
        if namespace == MAIN {
            self.joined_main = true;
        } else {
            self.joined.push(namespace.into());
        }
    }

    pub(super) fn leave(&mut self, namespace: &str) {
        if namespace == MAIN {
            self.joined_main = false;
        } else {
            self.joined.retain(|joined| **joined != *namespace);
        }
    }
}
