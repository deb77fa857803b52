//! The form that a message takes on its way to one peer.
//!
//! Encodings only, for every file above: nothing here knows a connection.

use std::sync::Arc;

use dscore_proto::engineio::Revision;
use dscore_proto::frame::{self, Opcode};
use dscore_proto::socketio;

/// The namespace that every Socket.IO client begins with.
pub(crate) const MAIN_NAMESPACE: &str = "/";

/// The packet that ends an Engine.IO session.
pub(crate) const CLOSE_PACKET: &[u8] = b"1";

/// In revision 3 the type of a packet stands before binary data too, as a number.
const V3_MESSAGE: u8 = 4;

/// The form that a message takes on its way to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Bare,
    /// In an Engine.IO packet.
    Packet(Revision),
    /// As a Socket.IO event, in an Engine.IO packet.
    Event,
}

impl Form {
    /// Appends one frame with a text message.
    pub fn encode_text(self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Bare => frame::encode_message(Opcode::Text, text, out),
            Self::Packet(_) => encode_packet_text(text, out),
            // What is no object with a `type` has no name to go by; the owner checks what it sends.
            Self::Event => {
                if let Ok(text) = std::str::from_utf8(text) {
                    encode_event(MAIN_NAMESPACE, text, out);
                }
            }
        }
    }

    /// Appends one frame with a binary message. An event is no binary message: nothing is sent.
    pub fn encode_binary(self, data: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Bare => frame::encode_message(Opcode::Binary, data, out),
            Self::Packet(revision) => encode_packet_binary(data, revision, out),
            Self::Event => {}
        }
    }

    /// Appends what a frame without a mask holds, in this form.
    pub(crate) fn reframe(self, framed: &[u8], out: &mut Vec<u8>) {
        let Ok(Some((header, at))) = frame::decode_header(framed) else {
            return;
        };
        let payload = framed.get(at..).unwrap_or_default();
        match header.opcode {
            Opcode::Text => self.encode_text(payload, out),
            _ => self.encode_binary(payload, out),
        }
    }
}

/// Appends one frame with a message that is an event of this namespace; nothing if it is no object with a `type`.
pub(crate) fn encode_event(namespace: &str, message: &str, out: &mut Vec<u8>) {
    let mut packet = Vec::with_capacity(message.len() + 1);
    socketio::encode_head(socketio::Kind::Event, namespace, None, 0, &mut packet);
    if socketio::encode_event(message, &mut packet).is_ok() {
        encode_packet_text(&packet, out);
    }
}

/// Appends one frame with a message packet of text.
pub(crate) fn encode_packet_text(text: &[u8], out: &mut Vec<u8>) {
    encode_after(b'4', Opcode::Text, text, out);
}

/// Appends one frame with a message packet of binary data, as a WebSocket has it.
pub(crate) fn encode_packet_binary(data: &[u8], revision: Revision, out: &mut Vec<u8>) {
    match revision {
        Revision::V4 => frame::encode_message(Opcode::Binary, data, out),
        Revision::V3 => encode_after(V3_MESSAGE, Opcode::Binary, data, out),
    }
}

/// Appends one frame with the packet that ends a session.
pub(crate) fn encode_close_packet(out: &mut Vec<u8>) {
    frame::encode_message(Opcode::Text, CLOSE_PACKET, out);
}

fn encode_after(first: u8, opcode: Opcode, rest: &[u8], out: &mut Vec<u8>) {
    out.reserve(frame::MAX_HEADER + 1 + rest.len());
    frame::encode_header(opcode, true, 1 + rest.len() as u64, None, out);
    out.push(first);
    out.extend_from_slice(rest);
}

/// Messages that many get, mostly one: framed once for each form they are needed in.
#[derive(Debug)]
pub(crate) struct SharedFrames {
    bare: Arc<[u8]>,
    event: Option<Arc<[u8]>>,
    packet: Option<(Revision, Arc<[u8]>)>,
    /// How many they are.
    pub(crate) count: u64,
}

impl SharedFrames {
    /// Of messages that are framed as they are, one after the other.
    pub(crate) fn new(bare: Arc<[u8]>) -> Self {
        Self {
            count: split(&bare).count() as u64,
            bare,
            event: None,
            packet: None,
        }
    }

    pub(crate) fn in_form(&mut self, form: Form) -> &Arc<[u8]> {
        match form {
            Form::Bare => &self.bare,
            Form::Event => self.event.get_or_insert_with(|| reframed(&self.bare, form)),
            Form::Packet(revision) => {
                if self.packet.as_ref().is_none_or(|(of, _)| *of != revision) {
                    self.packet = None;
                }
                let packet = || (revision, reframed(&self.bare, form));
                &self.packet.get_or_insert_with(packet).1
            }
        }
    }
}

fn reframed(bare: &[u8], form: Form) -> Arc<[u8]> {
    let mut frames = Vec::with_capacity(bare.len() + 8);
    split(bare).for_each(|frame| form.reframe(frame, &mut frames));
    frames.into()
}

/// The frames that lie one after the other; what is none is left out.
fn split(frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let (header, at) = frame::decode_header(rest).ok()??;
        let end = usize::try_from(header.len).ok()?.checked_add(at)?;
        let (frame, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = br#"{"type":"x","a":1}"#;

    #[test]
    fn binary_data_goes_out_where_messages_are_bare() {
        for (form, expected) in [
            (Form::Bare, &b"\x82\x01\xff"[..]),
            (Form::Packet(Revision::V4), b"\x82\x01\xff"),
            (Form::Packet(Revision::V3), b"\x82\x02\x04\xff"),
            (Form::Event, b""),
        ] {
            let (mut direct, mut again) = (Vec::new(), Vec::new());
            form.encode_binary(b"\xff", &mut direct);
            form.reframe(b"\x82\x01\xff", &mut again);
            assert_eq!((&*direct, &*again), (expected, expected), "{form:?}");
        }
    }

    #[test]
    fn what_has_no_type_is_no_event() {
        for text in ["", "[]", "{}", r#"{"type":1}"#, "\u{1}", "nonsense"] {
            let mut out = Vec::new();
            Form::Event.encode_text(text.as_bytes(), &mut out);
            assert_eq!(out, b"", "{text}");
        }
        let mut out = Vec::new();
        Form::Event.encode_text(b"\xff", &mut out);
        assert_eq!(out, b"", "no text at all");
    }

    #[test]
    fn a_shared_message_is_framed_once_for_each_form() {
        let mut bare = Vec::new();
        Form::Bare.encode_text(MESSAGE, &mut bare);
        let bare: Arc<[u8]> = bare.into();
        let mut shared = SharedFrames::new(bare.clone());
        let forms = [
            Form::Bare,
            Form::Event,
            Form::Packet(Revision::V4),
            Form::Packet(Revision::V3),
        ];
        for form in forms {
            let mut expected = Vec::new();
            form.encode_text(MESSAGE, &mut expected);
            let first = shared.in_form(form).clone();
            assert_eq!(*first, *expected, "{form:?}");
            assert!(Arc::ptr_eq(&first, shared.in_form(form)), "{form:?}");
        }
        assert!(Arc::ptr_eq(&bare, shared.in_form(Form::Bare)));
        assert_eq!(shared.count, 1);
        let mut of_bytes = SharedFrames::new(b"\x82\x01\xff"[..].into());
        assert_eq!(
            **of_bytes.in_form(Form::Packet(Revision::V3)),
            *b"\x82\x02\x04\xff"
        );
        assert_eq!(
            **of_bytes.in_form(Form::Packet(Revision::V4)),
            *b"\x82\x01\xff"
        );
    }

    #[test]
    fn several_messages_are_framed_each_by_itself() {
        let texts = [MESSAGE, b"{\"type\":\"y\"}", MESSAGE];
        let framed = |form: Form| {
            let mut frames = Vec::new();
            texts
                .iter()
                .for_each(|text| form.encode_text(text, &mut frames));
            frames
        };
        let mut shared = SharedFrames::new(framed(Form::Bare).into());
        assert_eq!(shared.count, 3);
        let packet = Form::Packet(Revision::V4);
        for form in [Form::Bare, Form::Event, packet] {
            assert_eq!(**shared.in_form(form), *framed(form), "{form:?}");
        }
    }

    #[test]
    fn binary_messages_of_revision_3_have_their_type_in_front() {
        for (revision, expected) in [
            (Revision::V4, &b"\x82\x02\xff\x00"[..]),
            (Revision::V3, b"\x82\x03\x04\xff\x00"),
        ] {
            let mut frame = Vec::new();
            encode_packet_binary(b"\xff\x00", revision, &mut frame);
            assert_eq!(frame, expected);
        }
    }
}
