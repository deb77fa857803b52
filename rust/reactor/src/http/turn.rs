//! An upgrade, or an Engine.IO opening, waits for its turn: see [`crate::pacer`].

use dscore_proto::engineio::Query;
use dscore_proto::http::{BodyReader, Head};
use dscore_proto::origin::Addressed;
use dscore_traffic::ConnId;

use super::peer::{HttpPeer, State, Step};
use crate::context::Context;
use crate::pacer::Turn;

impl HttpPeer {
    /// What comes of an upgrade or opening whose head takes so many bytes; `None` if it may go on.
    pub(super) fn wait_for_turn(
        &mut self,
        conn: ConnId,
        length: usize,
        cx: &mut Context,
    ) -> Option<Step> {
        // One that only came to be turned away is not kept waiting for it.
        let has_turn = std::mem::take(&mut self.has_turn);
        if has_turn || (self.over_limit && !cx.has_place()) {
            return None;
        }
        match cx.ask_for_turn(conn) {
            Turn::Go => None,
            Turn::Wait => {
                self.state = State::Queued {
                    since_ms: cx.pool_ms,
                    held: length,
                };
                self.deadline = u64::MAX;
                Some(Step::Wait)
            }
            Turn::ComeAgain(seconds) => {
                self.send_away(seconds, cx);
                Some(Step::Consumed(length))
            }
        }
    }

    /// Its turn has come: what waits in the input is looked at again.
    pub(crate) fn take_turn(&mut self) {
        if matches!(self.state, State::Queued { .. }) {
            self.state = State::Reading;
            self.has_turn = true;
        }
    }

    /// The wait is, or would be, too long.
    pub(crate) fn send_away(&mut self, seconds: u32, cx: &mut Context) {
        let detail = "too many agents connect; try again later";
        self.answer_problem(503, detail, Some(seconds), cx);
    }

    /// It does not wait for its turn any more.
    pub(super) fn leave_queue(&mut self, conn: ConnId, cx: &mut Context) {
        if let State::Queued { since_ms, .. } = self.state {
            cx.pacer.leave(since_ms, conn);
            self.state = State::Reading;
        }
    }

    /// Whether a request that is no upgrade would open a session, as far as its head tells. One that is to be refused
    /// spends no turn: a page of another origin would make agents wait for it.
    pub(super) fn opens_session(&self, head: &Head<'_>, cx: &Context) -> bool {
        let query = Query::of(head.target);
        head.method == "GET"
            && query.sid.is_none()
            && query.transport == Some("polling")
            && !query.has_jsonp
            && cx.settings.polling
            && cx.settings.revision(&query).is_ok()
            && Self::has_good_body(head, cx)
            && self.is_admitted(head, cx)
    }

    fn has_good_body(head: &Head<'_>, cx: &Context) -> bool {
        let most = cx.settings.messages.max_message_size;
        head.body()
            .is_ok_and(|body| BodyReader::new(body, most).is_ok())
    }

    fn is_admitted(&self, head: &Head<'_>, cx: &Context) -> bool {
        let addressed = Addressed {
            host: head.host(),
            local: self.ends.local,
            check_host: cx.settings.check_host,
        };
        let origins = head.header_all("origin");
        cx.settings.origins.judge(origins, &addressed).is_ok()
    }
}
