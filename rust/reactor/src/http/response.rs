//! The response to the request at hand: the app's, a session's, or a refusal of our own; and what follows it.

use dscore_proto::http::{self, Particulars, Standing};
use dscore_traffic::command::Response;

use super::answer::Answer;
use super::peer::{HttpPeer, State};
use crate::context::Context;

impl HttpPeer {
    /// Starts the response. Bytes that may not go into a head are the app's fault: 500.
    pub(crate) fn respond(&mut self, response: &Response, cx: &mut Context) {
        let State::Asked(mut exchange, _) = self.state else {
            return;
        };
        exchange.keep_alive &= !self.is_receiving();
        if self.upgrade.take().is_some() && !self.input_ended {
            self.deadline = u64::MAX;
        }
        let (standing, out) = self.standing(cx);
        match Answer::begin(exchange, response, standing, out) {
            Ok(answer) => self.state = State::Answering(answer),
            Err(error) => {
                self.refuse(500, &error.to_string(), cx);
                return;
            }
        }
        self.respond_more(&response.body, response.more, cx);
    }

    /// Goes on with the response.
    pub(crate) fn respond_more(&mut self, body: &[u8], more: bool, cx: &mut Context) {
        let State::Answering(answer) = &mut self.state else {
            return;
        };
        answer.push(body, &mut cx.out);
        if more {
            if self.input_ended {
                self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
            }
            return;
        }
        (self.asked_bytes, self.upload) = (0, None);
        if answer.finish(&mut cx.out) && !self.is_last {
            self.state = State::Reading;
            self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
        } else {
            self.begin_closing(cx);
        }
    }

    pub(super) fn refuse(&mut self, status: u16, detail: &str, cx: &mut Context) {
        self.answer_problem(status, detail, None, cx);
    }

    /// Answers with a problem, and ends the connection.
    pub(super) fn answer_problem(
        &mut self,
        status: u16,
        detail: &str,
        retry_after: Option<u32>,
        cx: &mut Context,
    ) {
        let (standing, out) = self.standing(cx);
        let beside = Particulars {
            standing,
            retry_after,
            head_only: self.is_head,
        };
        http::error_response(status, detail, beside, out);
        self.begin_closing(cx);
    }

    /// What every answer on this connection says, and where it is to be written.
    fn standing<'a>(&self, cx: &'a mut Context) -> (Standing<'a>, &'a mut Vec<u8>) {
        let proxies = &cx.settings.trusted_proxies;
        let is_direct = self.ends.proxy.is_none() && !proxies.trust(self.ends.peer.ip());
        let is_ours = self.ends.is_secure && is_direct;
        let hsts_s = is_ours.then_some(cx.settings.hsts_s);
        let (date, out) = cx.date_and_out();
        let date = Some(date);
        (Standing { date, hsts_s }, out)
    }

    pub(super) fn begin_closing(&mut self, cx: &Context) {
        self.state = State::Closing { half_closed: false };
        (self.asked_bytes, self.upload, self.upgrade) = (0, None, None);
        self.input = Vec::new();
        self.deadline = cx.now_ms + cx.settings.close_timeout;
    }
}
