//! Socket.IO on a connection: namespaces, events, acknowledgements, attachments.
//!
//! | packet | on an agents' endpoint | on a plain endpoint |
//! |---|---|---|
//! | CONNECT | answered, told | answered, told |
//! | CONNECT to a namespace that is not taken | answered with an error | answered with an error |
//! | DISCONNECT from a namespace | nothing | told |
//! | DISCONNECT from the last namespace | the end | told |
//! | EVENT | a message of that `type` | handed over |
//! | EVENT in another namespace | handed over, once introduced | handed over |
//! | ACK | told, once introduced | told |
//!
//! A packet that cannot be read, or that belongs to a namespace that was not joined, ends the connection; JSON that
//! cannot be read within one, or that is no message, is answered `error`. An event that must come after the introduction
//! waits for it: see [`early`]. Events of a `type` that is the core's own are
//! acknowledged at once, and so is what is refused; all others by whoever they are handed to. An acknowledgement that
//! does not say of what it is one is for nobody.

use std::borrow::Cow;

use dscore_proto::agent::{self, Refusal, RefusalCode};
use dscore_proto::close::CloseCode;
use dscore_proto::engineio::Revision;
use dscore_proto::socketio::{self, EventError, Kind, Packet};
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::OutgoingPacket;
use dscore_traffic::event::{self, Event, EventParts, Reply};
use uuid::Uuid;

use crate::agents;
use crate::context::Context;
use crate::dialect::Dialect;
use crate::engine_io;
use crate::session::{Session, Verdict, Who};

pub(crate) mod early;
mod state;

use state::Partial;
pub(crate) use state::SocketIo;

const MAIN: &str = "/";

/// What an attachment costs beside its bytes.
const ATTACHMENT_COST: usize = 64;

/// Before a client of revision 3 says anything, it is in "/".
pub(crate) fn greet(session: &mut Session, conn: ConnId, cx: &mut Context) {
    if let Dialect::EngineIo(engine) = &session.dialect
        && engine.revision == Revision::V3
        && engine.socket_io.is_some()
    {
        join(session, conn, MAIN, "", cx);
    }
}

/// One packet, or the beginning of one that has attachments.
pub(crate) fn on_text(
    session: &mut Session,
    conn: ConnId,
    text: &str,
    cx: &mut Context,
) -> Verdict {
    let Some(socket_io) = socket_io(session) else {
        return Verdict::Go;
    };
    if socket_io.expects_binary() {
        return Verdict::violation("text where an attachment is due");
    }
    match socketio::decode(text) {
        Ok(packet) if packet.attachments == 0 => act(session, conn, &packet, Vec::new(), cx),
        // What cannot be read when its attachments have come need not be waited for.
        Ok(packet) if packet.kind == Kind::Event && is_nameless(packet.data) => {
            Verdict::violation("an event without a name")
        }
        Ok(packet) => {
            socket_io.partial = Some(Box::new(Partial {
                text: text.into(),
                lacking: packet.attachments,
                attachments: Vec::new(),
                bytes: text.len(),
            }));
            Verdict::Go
        }
        Err(error) => Verdict::violation(&error),
    }
}

fn is_nameless(event: &str) -> bool {
    matches!(socketio::event(event), Err(EventError::BadName))
}

/// The next attachment.
pub(crate) fn on_binary(
    session: &mut Session,
    conn: ConnId,
    data: &[u8],
    cx: &mut Context,
) -> Verdict {
    let Some(mut partial) = socket_io(session).and_then(|socket_io| socket_io.partial.take())
    else {
        return agents::on_binary();
    };
    partial.bytes += data.len() + ATTACHMENT_COST;
    if partial.bytes
        > cx.settings.messages.max_message_size + ATTACHMENT_COST * socketio::MAX_ATTACHMENTS
    {
        return Verdict::Close(CloseFrame::new(
            CloseCode::TOO_BIG,
            "an event with its attachments is too big",
            "protocol_error",
        ));
    }
    partial.attachments.push(data.into());
    partial.lacking -= 1;
    if partial.lacking > 0 {
        if let Some(socket_io) = socket_io(session) {
            socket_io.partial = Some(partial);
        }
        return Verdict::Go;
    }
    match socketio::decode(&partial.text) {
        Ok(packet) => act(session, conn, &packet, partial.attachments, cx),
        Err(error) => Verdict::violation(&error),
    }
}

fn act(
    session: &mut Session,
    conn: ConnId,
    packet: &Packet<'_>,
    attachments: Vec<Box<[u8]>>,
    cx: &mut Context,
) -> Verdict {
    if packet.kind == Kind::Connect {
        return on_connect(session, conn, packet, cx);
    }
    if !socket_io(session).is_some_and(|socket_io| socket_io.has_joined(packet.namespace)) {
        return Verdict::violation("a packet of a namespace that was not joined");
    }
    let parts = EventParts {
        namespace: match packet.namespace {
            MAIN => Cow::Borrowed(MAIN),
            other => Cow::Owned(other.to_owned()),
        },
        ack: packet.id,
        attachments,
    };
    match packet.kind {
        Kind::Connect | Kind::ConnectError => Verdict::Go,
        Kind::Disconnect => on_disconnect(session, conn, packet.namespace, cx),
        Kind::Event => on_event_data(session, conn, packet.data, parts, cx),
        Kind::Ack => on_ack(session, conn, packet, parts, cx),
    }
}

fn on_connect(
    session: &mut Session,
    conn: ConnId,
    packet: &Packet<'_>,
    cx: &mut Context,
) -> Verdict {
    let Dialect::EngineIo(engine) = &session.dialect else {
        return Verdict::Go;
    };
    let namespace = packet.namespace;
    let is_taken = namespace == MAIN
        || cx
            .settings
            .namespaces
            .iter()
            .any(|taken| taken == namespace);
    if !is_taken {
        let mut error = Vec::new();
        socketio::encode_connect_error(namespace, "Invalid namespace", engine.revision, &mut error);
        engine_io::encode_text(&error, &mut cx.out);
        return session.count_error(cx);
    }
    let socket_io = engine.socket_io.as_ref();
    if socket_io.is_some_and(|socket_io| socket_io.has_joined(namespace)) {
        return Verdict::violation("a namespace joined twice");
    }
    join(session, conn, namespace, packet.data, cx);
    Verdict::Go
}

/// Answers a CONNECT, and tells of it.
fn join(session: &mut Session, conn: ConnId, namespace: &str, auth: &str, cx: &mut Context) {
    let Dialect::EngineIo(engine) = &mut session.dialect else {
        return;
    };
    let Some(socket_io) = &mut engine.socket_io else {
        return;
    };
    socket_io.join(namespace);
    socket_io.has_token |= socketio::has_token(auth);
    engine.connect_by = u64::MAX;
    let mut answer = Vec::new();
    let sid = Uuid::new_v4().simple().to_string();
    socketio::encode_connected(namespace, &sid, engine.revision, &mut answer);
    engine_io::encode_text(&answer, &mut cx.out);
    cx.tell(Event::Connected(Box::new(event::Connected {
        conn,
        namespace: namespace.into(),
        auth: auth.as_bytes().into(),
    })));
    session.count_ahead(conn, auth.len(), cx);
}

/// A client that leaves "/" keeps its other namespaces, and what it is in them (PROTOCOL.md §6). One that has left its
/// last is done.
fn on_disconnect(
    session: &mut Session,
    conn: ConnId,
    namespace: &str,
    cx: &mut Context,
) -> Verdict {
    let Some(socket_io) = socket_io(session) else {
        return Verdict::Go;
    };
    socket_io.leave(namespace);
    let has_left = socket_io.has_left();
    if session.who == Who::Plain {
        cx.tell(Event::Left(Box::new(event::Left {
            conn,
            namespace: namespace.into(),
        })));
        session.count_ahead(conn, namespace.len(), cx);
    } else if has_left {
        engine_io::end_session(&mut cx.out);
        return Verdict::Left;
    }
    Verdict::Go
}

fn on_event_data(
    session: &mut Session,
    conn: ConnId,
    data: &str,
    parts: EventParts,
    cx: &mut Context,
) -> Verdict {
    let event = match socketio::event(data) {
        Ok(event) => event,
        Err(EventError::NotJson) => {
            let refusal = Refusal::because(RefusalCode::BadJson, "the event is not valid JSON");
            return refuse(session, &refusal, &parts, cx);
        }
        Err(error) => return Verdict::violation(&error),
    };
    if session.who == Who::Plain {
        return hand_over(session, conn, &event.name, data.as_bytes(), parts, cx);
    }
    let mut said = std::mem::take(&mut cx.said);
    said.clear();
    let is_object = event.further == 0 && socketio::canonical(&event, &mut said).is_ok();
    let verdict = match std::str::from_utf8(&said) {
        Ok(message) if is_object => {
            on_message(session, conn, (&event.name, data), message, parts, cx)
        }
        _ => {
            let refusal = Refusal::because(RefusalCode::BadJson, "an event carries one object");
            refuse(session, &refusal, &parts, cx)
        }
    };
    cx.said = said;
    verdict
}

/// An event that is a message, of this name and with this data.
fn on_message(
    session: &mut Session,
    conn: ConnId,
    (name, data): (&str, &str),
    message: &str,
    parts: EventParts,
    cx: &mut Context,
) -> Verdict {
    let is_main = parts.namespace == MAIN;
    // In other namespaces nothing has a meaning of its own.
    let kind = if is_main {
        agent::Kind::of(name)
    } else {
        agent::Kind::Other
    };
    let parts = match early::keep(session, kind, data, parts, cx) {
        Ok(()) => return Verdict::Go,
        Err(parts) => parts,
    };
    if is_main {
        let ack = parts.ack;
        let mut parts = Some(parts);
        let verdict = agents::on_text(session, conn, message, &mut parts, cx);
        if parts.is_some() {
            acknowledge(MAIN, ack, cx);
        }
        verdict
    } else if session.is_stranger() {
        refuse(
            session,
            &Refusal::new(RefusalCode::NotIntroduced),
            &parts,
            cx,
        )
    } else {
        hand_over(session, conn, name, message.as_bytes(), parts, cx)
    }
}

fn hand_over(
    session: &mut Session,
    conn: ConnId,
    name: &str,
    data: &[u8],
    parts: EventParts,
    cx: &mut Context,
) -> Verdict {
    let length = data.len() + parts.bytes();
    cx.tell(Event::Message(Box::new(event::Message {
        conn,
        kind: name.into(),
        data: data.into(),
        binary: false,
        parts: Some(Box::new(parts)),
    })));
    session.count_ahead(conn, length, cx);
    Verdict::Go
}

/// The core has dealt with an event itself: whoever waits for an acknowledgement has waited long enough.
fn acknowledge(namespace: &str, id: Option<u64>, cx: &mut Context) {
    if id.is_some() {
        let mut packet = Vec::new();
        socketio::encode_head(Kind::Ack, namespace, id, 0, &mut packet);
        packet.extend_from_slice(b"[]");
        engine_io::encode_text(&packet, &mut cx.out);
    }
}

fn refuse(
    session: &mut Session,
    refusal: &Refusal,
    parts: &EventParts,
    cx: &mut Context,
) -> Verdict {
    let verdict = if parts.namespace == MAIN {
        agents::refuse(session, refusal, None, cx)
    } else {
        // Whoever said it there hears of it there, and may not be in "/" at all.
        let mut error = Vec::new();
        agent::encode_error(refusal.code, &refusal.to_string(), None, &mut error);
        let mut packet = Vec::new();
        socketio::encode_head(Kind::Event, &parts.namespace, None, 0, &mut packet);
        let _ours_is_an_event =
            std::str::from_utf8(&error).map(|error| socketio::encode_event(error, &mut packet));
        engine_io::encode_text(&packet, &mut cx.out);
        session.count_error(cx)
    };
    acknowledge(&parts.namespace, parts.ack, cx);
    verdict
}

fn on_ack(
    session: &mut Session,
    conn: ConnId,
    packet: &Packet<'_>,
    parts: EventParts,
    cx: &mut Context,
) -> Verdict {
    // Of one that says not which event it is for nobody waits.
    let Some(id) = packet.id else {
        return Verdict::Go;
    };
    if session.is_stranger() {
        return agents::refuse(session, &Refusal::new(RefusalCode::NotIntroduced), None, cx);
    }
    if !socketio::is_array(packet.data) {
        let sentence = "the acknowledgement is not a JSON array";
        let refusal = Refusal::because(RefusalCode::BadJson, sentence);
        return agents::refuse(session, &refusal, None, cx);
    }
    let length = packet.data.len() + parts.bytes();
    cx.tell(Event::Reply(Box::new(Reply {
        conn,
        id,
        data: packet.data.as_bytes().into(),
        parts,
    })));
    session.count_ahead(conn, length, cx);
    Verdict::Go
}

/// Queues an event or an acknowledgement; dropped where Socket.IO is not spoken, or its namespace was not joined.
pub(crate) fn send(session: &Session, packet: &OutgoingPacket, cx: &mut Context) {
    let Dialect::EngineIo(engine) = &session.dialect else {
        return;
    };
    let joined = engine
        .socket_io
        .as_ref()
        .is_some_and(|socket_io| socket_io.has_joined(&packet.namespace));
    if !joined {
        return;
    }
    let mut text = Vec::new();
    let count = packet.attachments.len();
    socketio::encode_head(packet.kind, &packet.namespace, packet.id, count, &mut text);
    text.extend_from_slice(packet.data.as_bytes());
    engine_io::encode_text(&text, &mut cx.out);
    for attachment in &packet.attachments {
        engine_io::encode_binary(attachment, engine.revision, &mut cx.out);
    }
    cx.stats.messages_sent_total += 1;
}

fn socket_io(session: &mut Session) -> Option<&mut SocketIo> {
    match &mut session.dialect {
        Dialect::Raw => None,
        Dialect::EngineIo(engine) => engine.socket_io.as_mut(),
    }
}

#[cfg(test)]
mod tests;
