//! Socket.IO on a connection: namespaces, events, acknowledgements, attachments.
//!
//! A packet that cannot be read, or that belongs to a namespace that was not joined, ends the connection. What events and
//! acknowledgements lead to is in `conversation/events.rs`: here their arrays are not read, but for the name of one whose
//! attachments are still to come.

use std::borrow::Cow;

use dscore_proto::close::CloseCode;
use dscore_proto::engineio::Revision;
use dscore_proto::socketio::{self, EventError, Kind, Packet};
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::OutgoingPacket;
use dscore_traffic::event::EventParts;
use uuid::Uuid;

use super::early::{ATTACHMENT_COST, Early};
use super::heard::{Data, Heard, HeardAck, HeardEvent};
use crate::form::{MAIN_NAMESPACE, encode_packet_binary, encode_packet_text};
use crate::settings::Settings;

/// How far a Socket.IO client has come: the namespaces that it has joined, an event whose attachments are coming, and
/// events that came before its introduction.
#[derive(Debug)]
pub(crate) struct SocketIo {
    joined_main: bool,
    /// It gave a token when it joined.
    has_token: bool,
    /// Namespaces beside "/".
    joined: Vec<Box<str>>,
    /// When it must have joined a namespace; `u64::MAX` once it has.
    connect_by: u64,
    partial: Option<Box<Partial>>,
    /// Of a connection that is unauthenticated: what waits for its introduction.
    early: Option<Box<Early>>,
}

/// A packet whose attachments are coming.
#[derive(Debug)]
struct Partial {
    text: Box<str>,
    lacking: usize,
    attachments: Vec<Box<[u8]>>,
    bytes: usize,
}

/// What is known of an event or an acknowledgement beside its array.
struct Head {
    kind: Kind,
    id: Option<u64>,
    parts: EventParts,
}

impl Head {
    #[inline(always)] // As `head`.
    fn with<'a>(self, data: Data<'a>) -> Heard<'a> {
        let parts = self.parts;
        match (self.kind, self.id) {
            (Kind::Event, _) => Heard::Event(HeardEvent { data, parts }),
            (Kind::Ack, Some(id)) => Heard::Ack(HeardAck { id, data, parts }),
            // An acknowledgement that does not say of what it is one is waited for nowhere.
            (Kind::Ack, None) | (Kind::Connect | Kind::ConnectError | Kind::Disconnect, _) => {
                Heard::Nothing
            }
        }
    }
}

impl SocketIo {
    pub(super) fn new(connect_by: u64) -> Self {
        Self {
            joined_main: false,
            has_token: false,
            joined: Vec::new(),
            connect_by,
            partial: None,
            early: None,
        }
    }

    /// One packet, or the beginning of one that has attachments.
    pub(super) fn hear_text<'a>(
        &mut self,
        text: &'a str,
        revision: Revision,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Heard<'a>, CloseFrame> {
        if self.expects_binary() {
            return Err(CloseFrame::violation("text where an attachment is due"));
        }
        let packet = socketio::decode(text).map_err(|error| CloseFrame::violation(&error))?;
        if packet.attachments > 0 {
            self.begin(&packet, text)?;
            return Ok(Heard::Nothing);
        }
        if packet.kind == Kind::Connect {
            return self.on_connect(&packet, revision, settings, out);
        }
        let head = self.head(&packet, Vec::new())?;
        if packet.kind == Kind::Disconnect {
            let namespace = packet.namespace;
            self.leave(namespace);
            let is_last = !self.joined_main && self.joined.is_empty();
            return Ok(Heard::Left { namespace, is_last });
        }
        Ok(head.with(Data::new(packet.data, 0)))
    }

    /// The beginning of a packet with attachments. What cannot be read when they have come need not be waited for.
    fn begin(&mut self, packet: &Packet<'_>, text: &str) -> Result<(), CloseFrame> {
        let is_nameless = |data| matches!(socketio::event(data), Err(EventError::BadName));
        if packet.kind == Kind::Event && is_nameless(packet.data) {
            return Err(CloseFrame::violation("an event without a name"));
        }
        self.partial = Some(Box::new(Partial {
            text: text.into(),
            lacking: packet.attachments,
            attachments: Vec::new(),
            bytes: text.len(),
        }));
        Ok(())
    }

    /// The next attachment.
    pub(super) fn hear_binary(
        &mut self,
        data: &[u8],
        settings: &Settings,
    ) -> Result<Heard<'static>, CloseFrame> {
        let Some(mut partial) = self.partial.take() else {
            return Err(CloseFrame::text_only());
        };
        partial.bytes += data.len() + ATTACHMENT_COST;
        let max_attachments = ATTACHMENT_COST * socketio::MAX_ATTACHMENTS;
        if partial.bytes > settings.messages.max_message_size + max_attachments {
            return Err(CloseFrame::new(
                CloseCode::TOO_BIG,
                "an event with its attachments is too big",
                "protocol_error",
            ));
        }
        partial.attachments.push(data.into());
        partial.lacking -= 1;
        if partial.lacking > 0 {
            self.partial = Some(partial);
            return Ok(Heard::Nothing);
        }
        let text = partial.text;
        let packet = socketio::decode(&text).map_err(|error| CloseFrame::violation(&error))?;
        let head = self.head(&packet, partial.attachments)?;
        let at = text.len() - packet.data.len();
        Ok(head.with(Data::new(text.into_string(), at)))
    }

    /// What a packet says beside its array; it must be of a namespace that was joined.
    #[inline(always)] // Once for each event: its parts are large to move.
    fn head(&self, packet: &Packet<'_>, attachments: Vec<Box<[u8]>>) -> Result<Head, CloseFrame> {
        if !self.has_joined(packet.namespace) {
            let what = "a packet of a namespace that was not joined";
            return Err(CloseFrame::violation(what));
        }
        Ok(Head {
            kind: packet.kind,
            id: packet.id,
            parts: EventParts {
                namespace: match packet.namespace {
                    MAIN_NAMESPACE => Cow::Borrowed(MAIN_NAMESPACE),
                    other => Cow::Owned(other.to_owned()),
                },
                ack: packet.id,
                attachments,
            },
        })
    }

    fn on_connect<'a>(
        &mut self,
        packet: &Packet<'a>,
        revision: Revision,
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<Heard<'a>, CloseFrame> {
        let namespace = packet.namespace;
        let mut known = settings.namespaces.iter();
        if namespace != MAIN_NAMESPACE && !known.any(|known| known == namespace) {
            let mut error = Vec::new();
            socketio::encode_connect_error(namespace, "Invalid namespace", revision, &mut error);
            encode_packet_text(&error, out);
            return Ok(Heard::Refused);
        }
        if self.has_joined(namespace) {
            return Err(CloseFrame::violation("a namespace joined twice"));
        }
        Ok(self.join(namespace, packet.data, revision, out))
    }

    /// Joins "/" without a CONNECT.
    pub(super) fn join_main(&mut self, revision: Revision, out: &mut Vec<u8>) -> Heard<'static> {
        self.join(MAIN_NAMESPACE, "", revision, out)
    }

    /// Joins a namespace, and answers the CONNECT.
    fn join<'a>(
        &mut self,
        namespace: &'a str,
        auth: &'a str,
        revision: Revision,
        out: &mut Vec<u8>,
    ) -> Heard<'a> {
        if namespace == MAIN_NAMESPACE {
            self.joined_main = true;
        } else {
            self.joined.push(namespace.into());
        }
        self.has_token |= socketio::has_token(auth);
        self.connect_by = u64::MAX;
        let mut answer = Vec::new();
        let sid = Uuid::new_v4().simple().to_string();
        socketio::encode_connected(namespace, &sid, revision, &mut answer);
        encode_packet_text(&answer, out);
        Heard::Joined { namespace, auth }
    }

    fn leave(&mut self, namespace: &str) {
        if namespace == MAIN_NAMESPACE {
            self.joined_main = false;
        } else {
            self.joined.retain(|joined| **joined != *namespace);
        }
    }

    /// Appends an event or an acknowledgement of ours. False if its namespace was not joined.
    pub(super) fn encode_packet(
        &self,
        packet: &OutgoingPacket,
        revision: Revision,
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.has_joined(&packet.namespace) {
            return false;
        }
        let mut text = Vec::new();
        let count = packet.attachments.len();
        socketio::encode_head(packet.kind, &packet.namespace, packet.id, count, &mut text);
        text.extend_from_slice(packet.data.as_bytes());
        encode_packet_text(&text, out);
        for attachment in &packet.attachments {
            encode_packet_binary(attachment, revision, out);
        }
        true
    }

    /// Appends a DISCONNECT from every namespace: after it the client does not come back by itself.
    pub(super) fn disconnect(&self, out: &mut Vec<u8>) {
        let main = self.joined_main.then_some(MAIN_NAMESPACE);
        for namespace in main
            .into_iter()
            .chain(self.joined.iter().map(|name| &**name))
        {
            let mut packet = Vec::new();
            socketio::encode_head(Kind::Disconnect, namespace, None, 0, &mut packet);
            encode_packet_text(&packet, out);
        }
    }

    pub(crate) fn has_joined(&self, namespace: &str) -> bool {
        if namespace == MAIN_NAMESPACE {
            self.joined_main
        } else {
            self.joined.iter().any(|joined| **joined == *namespace)
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        self.joined_main
    }

    pub(super) fn has_token(&self) -> bool {
        self.has_token
    }

    pub(super) fn deadline(&self) -> u64 {
        self.connect_by
    }

    /// The CONNECT may come so much later.
    pub(super) fn postpone(&mut self, ms: u64) {
        self.connect_by = self.connect_by.saturating_add(ms);
    }

    /// Whether binary data belongs to an event that came before.
    pub(super) fn expects_binary(&self) -> bool {
        self.partial.is_some()
    }

    pub(super) fn held_input(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, |partial| partial.bytes);
        partial + self.early.as_ref().map_or(0, |early| early.held())
    }

    /// Keeps an event that comes before the introduction, if there is room for it; else gives its parts back.
    pub(crate) fn keep_early(&mut self, data: &str, parts: EventParts) -> Result<(), EventParts> {
        self.early.get_or_insert_default().keep(data, parts)
    }

    /// Counts a heartbeat that came too early to introduce. True while it is to be forgiven.
    pub(crate) fn count_early_beat(&mut self) -> bool {
        self.early.get_or_insert_default().count_beat()
    }

    /// Takes what waited for the introduction, in the order it came.
    pub(crate) fn take_early(&mut self) -> Vec<HeardEvent<'static>> {
        self.early
            .take()
            .map_or_else(Vec::new, |early| early.into_events())
    }

    /// Whether anything waits.
    #[cfg(test)]
    pub(crate) fn has_early(&self) -> bool {
        self.early.is_some()
    }

    /// Forgets events that wait for an introduction or for their attachments: the connection ends.
    pub(super) fn drop_input(&mut self) {
        (self.early, self.partial) = (None, None);
    }
}

/// Appends the acknowledgement of an event that was dealt with here, with nothing in it; nothing where none is waited for.
pub(crate) fn acknowledge(namespace: &str, id: Option<u64>, out: &mut Vec<u8>) {
    if id.is_some() {
        let mut packet = Vec::new();
        socketio::encode_head(Kind::Ack, namespace, id, 0, &mut packet);
        packet.extend_from_slice(b"[]");
        encode_packet_text(&packet, out);
    }
}
