//! A request body that is handed to the program's app as it comes, part by part, each when the app asks for it.
//!
//! | upload | the app asks | bytes come | the last bytes come | they break the rules | they are late | end of input |
//! |---|---|---|---|---|---|---|
//! | empty | waiting | filling | whole | lost | lost | lost |
//! | filling | empty | filling | whole | lost | lost | lost |
//! | waiting | waiting | empty | over | lost | lost | lost |
//! | whole | over | whole | whole | whole | — | whole |
//!
//! Filling stops at [`MAX_PART`](super::body::MAX_PART): what is not asked for stays in the
//! socket, and TCP pushes back. The client's time counts only while we would read, and each byte is worth some: a body that
//! trickles is late as one that stops. Lost means that the app hears so
//! ([`Event::HttpGone`]), and the client 400, 408, 413 or 503, unless its answer has begun, which is cut. An answer that begins
//! before its request is whole is the last of its connection: what still comes is waited out.

use dscore_proto::http::{self, HttpError};
use dscore_traffic::ConnId;
use dscore_traffic::event::{BodyPart, Event};

use super::peer::{HttpPeer, State, Step};
use crate::context::Context;

impl HttpPeer {
    /// Whether the body of the request at hand is still coming.
    pub(crate) fn is_receiving(&self) -> bool {
        let upload = self.upload.as_ref();
        upload.is_some_and(|upload| !upload.reader.done())
    }

    /// Whether more of it is to be read now.
    pub(super) fn wants_body(&self) -> bool {
        let upload = self.upload.as_ref();
        upload.is_some_and(|upload| !upload.reader.done() && !upload.is_full())
    }

    /// The app asks for the next part.
    pub(crate) fn read_body(&mut self, conn: ConnId, cx: &mut Context) {
        let is_answering = matches!(self.state, State::Answering(_));
        let Some(upload) = &mut self.upload else {
            return;
        };
        upload.is_asked = true;
        let waits_for_us = std::mem::take(&mut upload.expects_continue);
        // RFC 9110 §10.1.1: not once something of the body, or an answer, is there.
        if waits_for_us && upload.part.is_empty() && !upload.reader.done() && !is_answering {
            cx.out.extend_from_slice(http::CONTINUE);
        }
        self.give_part(conn, cx);
        self.time_upload(cx);
    }

    /// Takes what belongs to the body out of `bytes`.
    pub(super) fn receive_body(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        cx: &mut Context,
    ) -> Result<Step, HttpError> {
        let Some(upload) = self.upload.as_mut().filter(|_| !bytes.is_empty()) else {
            return Ok(Step::Wait);
        };
        upload.expects_continue = false;
        match upload.reader.push(bytes, &mut upload.part) {
            Ok(consumed) => {
                upload.earn(consumed, cx.settings.keep_alive_timeout, cx.now_ms);
                self.give_part(conn, cx);
                self.time_upload(cx);
                Ok(Step::Consumed(consumed))
            }
            Err(error) => {
                self.abandon(conn, error.status(), &error.to_string(), cx);
                Ok(Step::Wait)
            }
        }
    }

    fn give_part(&mut self, conn: ConnId, cx: &mut Context) {
        let Some(upload) = &mut self.upload else {
            return;
        };
        let more = !upload.reader.done();
        if !upload.is_asked || (more && upload.part.is_empty()) {
            return;
        }
        upload.is_asked = false;
        let data = std::mem::take(&mut upload.part);
        if !more {
            self.upload = None;
        }
        let data = data.into_boxed_slice();
        cx.tell(Event::BodyPart(Box::new(BodyPart { conn, data, more })));
    }

    /// The client's time runs, or stands still.
    pub(super) fn time_upload(&mut self, cx: &Context) {
        let wants_body = self.wants_body();
        let Some(upload) = &mut self.upload else {
            if !self.input_ended {
                self.deadline = u64::MAX;
            }
            return;
        };
        let is_waited_for = wants_body && !upload.expects_continue;
        let deadline = upload.run(is_waited_for, cx.now_ms);
        if is_waited_for || !self.input_ended {
            self.deadline = deadline.unwrap_or(u64::MAX);
        }
    }

    /// The app's request is over before its answer is: the rest of its body will not come, or is not wanted.
    pub(super) fn abandon(&mut self, conn: ConnId, status: u16, detail: &str, cx: &mut Context) {
        cx.tell(Event::HttpGone(conn));
        if matches!(self.state, State::Answering(_)) {
            self.begin_closing(cx);
        } else {
            self.refuse(status, detail, cx);
        }
    }
}

#[cfg(test)]
mod tests;
