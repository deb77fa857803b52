//! What Socket.IO packets lead to.
//!
//! | packet | on an agents' endpoint | on a plain endpoint |
//! |---|---|---|
//! | CONNECT | answered, told | answered, told |
//! | CONNECT to a namespace that is not taken | answered with an error | answered with an error |
//! | DISCONNECT from a namespace | told | told |
//! | DISCONNECT from the last namespace | the end | told |
//! | EVENT | a message of that `type` | delivered |
//! | EVENT in another namespace | delivered, once introduced | delivered |
//! | ACK | told, once introduced | told |
//!
//! JSON that cannot be read within an event, or that is no message, is answered `error`. An event that must come after the
//! introduction waits for it. Events of a `type` that is the core's own are acknowledged at once, and so is what is refused;
//! all others by the owner.

use dscore_proto::agent::{self, Refusal, RefusalCode};
use dscore_proto::socketio::{self, EventError};
use dscore_traffic::close::CloseFrame;
use dscore_traffic::event::{self, Event, EventParts, Reply};

use super::hearing::{Hearing, Stop};
use crate::agent::messages;
use crate::context::Context;
use crate::dialect::heard::{HeardAck, HeardEvent};
use crate::dialect::socket_io::acknowledge;
use crate::form::{MAIN_NAMESPACE, encode_close_packet, encode_event};

impl Hearing<'_> {
    pub(super) fn on_event(&mut self, event: HeardEvent<'_>, cx: &mut Context) -> Result<(), Stop> {
        let (data, parts) = (event.data.as_str(), event.parts);
        let event = match socketio::event(data) {
            Ok(event) => event,
            Err(EventError::NotJson) => {
                return self.refuse("the event is not valid JSON", &parts, cx);
            }
            Err(error) => return Err(CloseFrame::violation(&error).into()),
        };
        if self.identity.is_plain() {
            self.deliver(&event.name, data.as_bytes(), parts, cx);
            return Ok(());
        }
        let mut said = std::mem::take(&mut cx.said);
        said.clear();
        let is_object = event.further == 0 && socketio::canonical(&event, &mut said).is_ok();
        let result = match std::str::from_utf8(&said) {
            Ok(message) if is_object => self.on_message((&event.name, data), message, parts, cx),
            _ => self.refuse("an event carries one object", &parts, cx),
        };
        cx.said = said;
        result
    }

    /// An event that waited for the introduction. What the client has left since hears no answers.
    pub(super) fn on_early_event(
        &mut self,
        mut event: HeardEvent<'_>,
        cx: &mut Context,
    ) -> Result<(), Stop> {
        let socket_io = self.dialect.socket_io();
        if !socket_io.is_some_and(|socket_io| socket_io.has_joined(&event.parts.namespace)) {
            event.parts.ack = None;
        }
        self.on_event(event, cx)
    }

    /// An event that is a message, of this name and with this data.
    fn on_message(
        &mut self,
        (name, data): (&str, &str),
        message: &str,
        parts: EventParts,
        cx: &mut Context,
    ) -> Result<(), Stop> {
        let is_main = parts.namespace == MAIN_NAMESPACE;
        // In other namespaces nothing has a meaning of its own.
        let kind = if is_main {
            agent::Kind::of(name)
        } else {
            agent::Kind::Other
        };
        let parts = match self.keep_early(kind, data, parts, cx) {
            Ok(()) => return Ok(()),
            Err(parts) => parts,
        };
        if is_main {
            let (ack, mut parts) = (parts.ack, Some(parts));
            let (identity, mut line) = self.split();
            let result = messages::on_text(identity, &mut line, message, &mut parts, cx);
            if parts.is_some() {
                acknowledge(MAIN_NAMESPACE, ack, &mut cx.out);
            }
            Ok(result?)
        } else if self.identity.is_unauthenticated() {
            let refusal = Refusal::new(RefusalCode::NotIntroduced);
            self.refuse_event(&refusal, &parts, cx)
        } else {
            self.deliver(name, message.as_bytes(), parts, cx);
            Ok(())
        }
    }

    /// Keeps an event that must wait; gives the parts of any other back, to be handled now.
    fn keep_early(
        &mut self,
        kind: agent::Kind,
        data: &str,
        parts: EventParts,
        cx: &Context,
    ) -> Result<(), EventParts> {
        let waits = self.identity.is_unauthenticated()
            && !messages::may_come_first(self.dialect.has_token(), kind, cx);
        let Some(socket_io) = self.dialect.socket_io().filter(|_| waits) else {
            return Err(parts);
        };
        if !matches!(
            kind,
            agent::Kind::Heartbeat | agent::Kind::ReconnectionSuccess
        ) {
            return socket_io.keep_early(data, parts);
        }
        // Where tokens are required these introduce only with one. They are old news once there is an introduction: they
        // are refused at once, but a client that buffered them has done nothing wrong.
        if socket_io.count_early_beat() {
            self.identity.forgive(1);
        }
        Err(parts)
    }

    fn deliver(&mut self, name: &str, data: &[u8], parts: EventParts, cx: &mut Context) {
        let length = data.len() + parts.bytes();
        cx.tell(Event::Message(Box::new(event::Message {
            conn: self.conn,
            kind: name.into(),
            data: data.into(),
            binary: false,
            parts: Some(Box::new(parts)),
        })));
        self.delivery.count(self.conn, length, cx);
    }

    fn refuse(
        &mut self,
        sentence: &'static str,
        parts: &EventParts,
        cx: &mut Context,
    ) -> Result<(), Stop> {
        let refusal = Refusal::because(RefusalCode::BadJson, sentence);
        self.refuse_event(&refusal, parts, cx)
    }

    /// Answers `error` in the namespace of the event: its sender may not be in "/" at all.
    fn refuse_event(
        &mut self,
        refusal: &Refusal,
        parts: &EventParts,
        cx: &mut Context,
    ) -> Result<(), Stop> {
        let result = if parts.namespace == MAIN_NAMESPACE {
            let (identity, mut line) = self.split();
            messages::refuse(identity, &mut line, refusal, None, cx)
        } else {
            let mut error = Vec::new();
            agent::encode_error(refusal.code, &refusal.to_string(), None, &mut error);
            if let Ok(error) = std::str::from_utf8(&error) {
                encode_event(&parts.namespace, error, &mut cx.out);
            }
            self.identity.count_error(cx)
        };
        acknowledge(&parts.namespace, parts.ack, &mut cx.out);
        Ok(result?)
    }

    /// A client that leaves "/" keeps its other namespaces, and what it is in them (PROTOCOL.md §6); of what it was asked in
    /// "/" it hears no more. One that has left its last is done.
    pub(super) fn on_left(
        &mut self,
        namespace: &str,
        is_last: bool,
        cx: &mut Context,
    ) -> Result<(), Stop> {
        if is_last && !self.identity.is_plain() {
            encode_close_packet(&mut cx.out);
            return Err(Stop::Left);
        }
        if namespace == MAIN_NAMESPACE
            && let Some(terminations) = &mut self.identity.terminations
        {
            terminations.vanish(self.conn, cx);
        }
        cx.tell(Event::Left(Box::new(event::Left {
            conn: self.conn,
            namespace: namespace.into(),
        })));
        self.delivery.count(self.conn, namespace.len(), cx);
        Ok(())
    }

    pub(super) fn on_ack(&mut self, ack: HeardAck<'_>, cx: &mut Context) -> Result<(), Stop> {
        let data = ack.data.as_str();
        let refusal = if self.identity.is_unauthenticated() {
            Refusal::new(RefusalCode::NotIntroduced)
        } else if !socketio::is_array(data) {
            let sentence = "the acknowledgement is not a JSON array";
            Refusal::because(RefusalCode::BadJson, sentence)
        } else {
            let length = data.len() + ack.parts.bytes();
            cx.tell(Event::Reply(Box::new(Reply {
                conn: self.conn,
                id: ack.id,
                data: data.as_bytes().into(),
                parts: ack.parts,
            })));
            self.delivery.count(self.conn, length, cx);
            return Ok(());
        };
        let (identity, mut line) = self.split();
        Ok(messages::refuse(identity, &mut line, &refusal, None, cx)?)
    }
}

#[cfg(test)]
mod tests;
