//! What an agent says, and what it does with each message it hears.

use std::time::Duration;

use dscore_proto::close::CloseCode;

use super::{Agent, Next, Phase};
use crate::heard::{Heard, RequestId};
use crate::message;
use crate::options::{Options, Role};
use crate::socketio;
use crate::tally::{Tally, count};

/// Heartbeats of one agent that may wait for their answers; a server this far behind gets no more of them.
const MAX_BEATS: usize = 64;
/// What an agent that asks for more time asks for besides: an answer at the last moment may come too late.
const SPARE: Duration = Duration::from_secs(5);

impl Agent {
    pub(super) fn obey(
        &mut self,
        heard: Heard,
        now: u64,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<Next, String> {
        match heard {
            Heard::Opened if self.phase == Phase::Opening => {
                self.phase = Phase::Joining;
                self.say(socketio::CONNECT, out);
            }
            Heard::Connected if self.phase == Phase::Joining => self.present(options, out),
            Heard::Pinged => self.say(socketio::PONG, out),
            Heard::Nothing => {}
            Heard::Disconnected => {
                self.disconnected = true;
                tally.disconnects += 1;
                // As the client libraries do once their last namespace is gone. Some servers leave the close to them; for
                // the others the two close frames cross.
                let _ = self.connection.send_close(CloseCode::NORMAL, "", out);
            }
            Heard::Refused(code) => count(&mut tally.refusals, &code, 1),
            Heard::Acknowledged if self.phase == Phase::Introducing => {
                self.introduce(now, tally);
                return Ok(Next::Introduced);
            }
            other if self.phase != Phase::Open => {
                return Err(format!("{other:?} before app_ready_ack"));
            }
            again @ (Heard::Acknowledged | Heard::Opened | Heard::Connected) => {
                return Err(format!("a second {again:?}"));
            }
            Heard::Heartbeat => {
                let intended = self
                    .beats
                    .pop_front()
                    .ok_or("heartbeat_response without a heartbeat")?;
                tally.heartbeat_answered(now.saturating_sub(intended));
            }
            Heard::HeartbeatFailed => {
                self.beats
                    .pop_front()
                    .ok_or("heartbeat_response without a heartbeat")?;
                tally.heartbeats_failed += 1;
            }
            Heard::ConnectionCheck => self.say(
                &message::connection_check_response(options.dialect, &self.id(options)),
                out,
            ),
            Heard::Shutdown { reconnect_after } => {
                tally.server_shutdown += 1;
                self.reconnect_after = Some(reconnect_after);
            }
            Heard::Unknown(kind) => count(&mut tally.unknown_types, &kind, 1),
            Heard::Terminate(request) => {
                tally.told_to_terminate(now, &request);
                self.told = self.told.saturating_add(1);
                return Ok(self.asked_to_terminate(request, options, tally, out));
            }
        }
        Ok(Next::Nothing)
    }

    /// Says who it is.
    pub(super) fn present(&mut self, options: &Options, out: &mut Vec<u8>) {
        self.phase = Phase::Introducing;
        let (id, again) = (self.id(options), self.last_close != 0);
        let text = message::app_ready(options.dialect, &id, again, self.last_close);
        self.say(&text, out);
    }

    pub(super) fn introduce(&mut self, now: u64, tally: &mut Tally) {
        self.phase = Phase::Open;
        self.introduced = true;
        tally.acks += 1;
        tally.last_introduced = tally.last_introduced.max(Some(now));
        tally.introduced += u64::from(!self.ever_introduced);
        self.ever_introduced = true;
    }

    fn asked_to_terminate(
        &mut self,
        request: RequestId,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Next {
        match self.role {
            Role::Mute | Role::Stall => return Next::Nothing,
            Role::Vanish => {
                tally.vanished += 1;
                return Next::Cut;
            }
            Role::Well | Role::Fail => {}
            Role::Extend => {
                let need = options.delay_of(self.role) + SPARE;
                self.say(
                    &message::termination_progress(options.dialect, &request, need),
                    out,
                );
                tally.extended += 1;
            }
        }
        self.asked = Some(request);
        if options.delay_of(self.role).is_zero() {
            self.answer(options, tally, out);
            Next::Nothing
        } else {
            Next::AnswerLater
        }
    }

    /// Answers the terminate_app that waits, if one does.
    pub(crate) fn answer(&mut self, options: &Options, tally: &mut Tally, out: &mut Vec<u8>) {
        let (Some(request), Phase::Open) = (self.asked.take(), self.phase) else {
            return;
        };
        if self.role == Role::Fail {
            self.say(
                &message::app_terminated(
                    options.dialect,
                    &request,
                    "ERROR",
                    "pipeline would not stop",
                ),
                out,
            );
            tally.answered_error += 1;
        } else {
            self.say(
                &message::app_terminated(options.dialect, &request, "OK", "pipeline stopped"),
                out,
            );
            tally.acked += 1;
        }
    }

    /// Sends the heartbeat that was due at `intended`.
    pub(crate) fn beat(
        &mut self,
        intended: u64,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) {
        if self.phase == Phase::Open && self.role != Role::Stall && self.beats.len() < MAX_BEATS {
            self.beats.push_back(intended);
            self.say(&message::heartbeat(options.dialect, &self.id(options)), out);
            tally.heartbeats_sent += 1;
        }
    }

    /// Sends a text of our own; after a close frame there is nothing more to say.
    pub(crate) fn say(&mut self, text: &str, out: &mut Vec<u8>) {
        let _ = self.connection.send_text(text.as_bytes(), out);
    }
}
