//! The end of a WebSocket: what will be told of it, and how long the other side is waited for.

use dscore_traffic::close::{CloseInfo, Initiator};

use crate::context::Context;

/// How a connection is ending.
#[derive(Debug)]
pub(crate) struct End {
    /// The first close frame counts, whoever sent it.
    pub(crate) info: CloseInfo,
    /// What whoever did not begin said to it; 0 for nothing so far.
    pub(crate) answer: u16,
    /// When the other side has had its time.
    pub(crate) deadline: u64,
    /// The peer broke the protocol: input is only waited out.
    failed: bool,
    /// The close frame for that, while the owner may still answer what came before.
    withheld: Vec<u8>,
}

impl End {
    pub(crate) fn new(info: CloseInfo, cx: &Context) -> Self {
        let answer = answer(&info);
        Self {
            info,
            answer,
            deadline: cx.now_ms + cx.settings.close_timeout,
            failed: false,
            withheld: Vec::new(),
        }
    }

    /// The connection was ending already when this came.
    pub(crate) fn hear(&mut self, later: &CloseInfo) {
        self.answer = self.answer.max(answer(later));
    }

    /// A peer that breaks the protocol, while it closes too, is not waited for as if it obeyed.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }

    /// Keeps a close frame back for now.
    pub(crate) fn withhold(&mut self, frame: Vec<u8>) {
        self.withheld = frame;
    }

    /// Lets the close frame go that was kept back, if one was.
    pub(crate) fn release(&mut self, cx: &mut Context) {
        cx.out.append(&mut self.withheld);
    }

    /// A close frame is kept back.
    pub(crate) fn withholds(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// The peer broke the protocol and was told so.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed && !self.withholds()
    }

    /// When the deadline has come. True if the socket is to be given up.
    pub(crate) fn on_deadline(&mut self, cx: &mut Context) -> bool {
        let given_up = !self.withholds();
        // An owner that does not come must not keep the peer from hearing what it did wrong.
        self.release(cx);
        self.deadline = cx.now_ms + cx.settings.close_timeout;
        given_up
    }
}

/// What the side that did not begin has said with this. RFC 6455 §5.5.1: a peer's close frame was echoed, code and all,
/// before we heard of it.
fn answer(info: &CloseInfo) -> u16 {
    match info.initiator {
        Initiator::Peer => info.code,
        Initiator::Server | Initiator::Network => 0,
    }
}
