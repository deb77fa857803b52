//! The end of a WebSocket: what will be told of it, and how long the other side is waited for.

use dscore_traffic::close::{CloseFrame, CloseInfo, Initiator};

use crate::context::Context;

/// A conversation's end, as far as there is something to know of it: one that closes has nothing planned any more.
#[derive(Debug)]
pub(super) enum Ending {
    /// It is to be closed.
    Planned(PlannedClose),
    /// It is closing.
    Closing(Closing),
}

/// A close that is to come.
#[derive(Debug)]
pub(super) struct PlannedClose {
    pub(super) at_ms: u64,
    pub(super) close_frame: CloseFrame,
    /// Not for one that is let in first, nor once maintenance is over.
    pub(super) of_maintenance: bool,
}

/// How a connection is ending.
#[derive(Debug)]
pub(super) struct Closing {
    /// The first close frame counts, of whichever side.
    pub(super) info: CloseInfo,
    /// What the side that did not begin said to it; 0 for nothing so far.
    pub(super) answer: u16,
    /// When the other side has had its time.
    pub(super) deadline: u64,
    /// The peer broke the protocol: input is only waited out.
    failed: bool,
    /// The close frame for that, while the owner may still answer what came before.
    withheld: Vec<u8>,
}

impl Closing {
    pub(super) fn new(info: CloseInfo, cx: &Context) -> Self {
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
    pub(super) fn hear(&mut self, later: &CloseInfo) {
        self.answer = self.answer.max(answer(later));
    }

    /// A peer that breaks the protocol, while it closes too, is not waited for as if it obeyed.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// Keeps a close frame back for now.
    pub(super) fn withhold(&mut self, frame: Vec<u8>) {
        self.withheld = frame;
    }

    /// Lets the close frame go that was kept back, if one was.
    pub(super) fn release(&mut self, cx: &mut Context) {
        cx.out.append(&mut self.withheld);
    }

    /// A close frame is kept back.
    pub(super) fn withholds(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// The peer broke the protocol and was told so.
    pub(super) fn has_failed(&self) -> bool {
        self.failed && !self.withholds()
    }

    /// When the deadline has come. True if the socket is to be given up.
    pub(super) fn on_deadline(&mut self, cx: &mut Context) -> bool {
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
