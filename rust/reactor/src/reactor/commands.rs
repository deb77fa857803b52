//! What each command does, to a reactor or to one of its peers.

use std::sync::Arc;

use dscore_traffic::ConnId;
use dscore_traffic::command::{Command, Notify, ReactorCommand};
use dscore_traffic::event::{Event, LastSeen, Outcome, OutcomeKind};
use uuid::Uuid;

use super::Reactor;
use crate::agent::termination::Termination;
use crate::broadcast::{Closing, TerminateFrame, Walk, send_terminate};
use crate::context::Context;
use crate::conversation::Conversation;
use crate::form::SharedFrames;
use crate::peer::{Peer, Stage};
use crate::queue::Order;

/// Taken in one turn. In a storm the owner answers introductions by hundreds, and heartbeats would stand in line behind all
/// of them.
const MAX_BATCH: usize = 64;

impl Reactor {
    pub(super) fn serve_commands(&mut self) {
        for _ in 0..MAX_BATCH {
            let Some(order) = self.own.commands.pop() else {
                return;
            };
            match order {
                Order::Peer(conn, command) => self.serve_command(conn, command),
                Order::Reactor(command) => self.serve_reactor_command(command),
                Order::Configure(settings) => self.cx.configure(settings),
                Order::SendMany(conns, frames) => self.send_many(conns, frames),
                Order::Settled(conn) => self.release(conn),
                Order::Adopt(accepted) => self.adopt(*accepted),
                Order::Yield(claim) => self.yield_to(claim),
                Order::Stop => self.stopping = true,
            }
        }
    }

    fn serve_command(&mut self, conn: ConnId, command: Command) {
        let mut command = Some(command);
        self.with_peer(conn, |peer, cx| {
            if let Some(command) = command.take() {
                apply(command, conn, peer, cx);
            }
        });
        if let Some(command) = command {
            miss(&command, conn, &mut self.cx);
        }
    }

    fn serve_reactor_command(&mut self, command: ReactorCommand) {
        match command {
            ReactorCommand::CloseAll {
                close_frame,
                spread_ms,
                spare_watchers,
            } => {
                let closing = Closing {
                    close_frame: *close_frame,
                    spread_ms,
                    spare_watchers,
                };
                let walk = Walk::close(closing, self.peers.len(), &self.cx);
                self.walks.push_back(walk);
            }
            ReactorCommand::TerminateAll(order) => {
                let walk = Walk::terminate(*order, &self.cx);
                self.walks.push_back(walk);
            }
            ReactorCommand::SetServingState(serving) => self.cx.serving = serving,
            ReactorCommand::ReadLastSeen { number, conns } => {
                let last_seen = self.last_seen(number, conns.as_deref());
                self.cx.tell(Event::LastSeen(Box::new(last_seen)));
            }
            ReactorCommand::Look(number) => self.looks.push_back((self.cx.now_us, number)),
        }
    }

    fn send_many(&mut self, conns: Vec<ConnId>, frames: Arc<[u8]>) {
        let mut frames = SharedFrames::new(frames);
        for conn in conns {
            self.with_peer(conn, |peer, cx| peer.send_shared(&mut frames, cx));
        }
    }

    /// Reads on where the owner has had its turn, and lets a close frame go that was withheld until then.
    fn release(&mut self, conn: ConnId) {
        self.with_peer(conn, |peer, cx| {
            if let Stage::Conversation(conversation) = &mut peer.stage {
                conversation.release(cx);
                resume(conn, peer, cx);
            }
        });
    }

    fn last_seen(&self, number: u64, conns: Option<&[ConnId]>) -> LastSeen {
        match conns {
            None => self.read(number, self.peers.len(), self.peers.iter()),
            Some(conns) => {
                // Those of other reactors are not in this one's table.
                let own = conns
                    .iter()
                    .filter_map(|&conn| Some((conn, self.peers.get(conn)?)));
                self.read(number, conns.len(), own)
            }
        }
    }

    fn read<'a>(
        &self,
        number: u64,
        most: usize,
        peers: impl Iterator<Item = (ConnId, &'a Peer)>,
    ) -> LastSeen {
        let mut last_seen = LastSeen::with_capacity(number, most);
        for (conn, peer) in peers {
            if let Stage::Conversation(conversation) = &peer.stage
                && !conversation.identity.is_guest()
            {
                last_seen.conns.push(conn.to_u64());
                last_seen
                    .seen_ms
                    .push(self.cx.on_pool_clock(peer.last_seen));
                last_seen
                    .heartbeat_ms
                    .push(conversation.identity.last_heartbeat);
                last_seen.rtt_us.push(conversation.rtt_us);
            }
        }
        last_seen
    }
}

/// Applies a command to its peer.
fn apply(command: Command, conn: ConnId, peer: &mut Peer, cx: &mut Context) {
    match (command, &mut peer.stage) {
        (Command::Abort, _) => peer.finished = true,
        (Command::Send(outgoing), Stage::Conversation(_)) => {
            peer.send_shared(&mut SharedFrames::new(outgoing.frame), cx);
            match outgoing.notify {
                Notify::No => {}
                Notify::LowWater => peer.notify_when_drained(conn, cx),
                Notify::Empty => peer.notify_when_empty(conn, cx),
            }
        }
        (Command::SendPacket(packet), Stage::Conversation(conversation)) => {
            conversation.send_packet(&packet, cx);
            if packet.notify {
                peer.transmit(cx);
                peer.notify_when_drained(conn, cx);
            }
        }
        (command, Stage::Conversation(conversation)) => {
            apply_to_conversation(command, conn, conversation, cx);
            resume(conn, peer, cx);
        }
        (Command::Respond(response), Stage::Http(http)) => {
            http.respond(&response, cx);
            after_response(response.notify, conn, peer, cx);
        }
        (Command::RespondMore(part), Stage::Http(http)) => {
            http.respond_more(&part.body, part.more, cx);
            after_response(part.notify, conn, peer, cx);
        }
        (Command::ReadBody, Stage::Http(http)) => http.read_body(conn, cx),
        (Command::AcceptUpgrade(accept), Stage::Http(_)) => peer.accept_upgrade(conn, &accept, cx),
        // Meant for a WebSocket that this connection has not become, or for a request it has not made.
        (_, Stage::Http(_) | Stage::Probe(_)) => {}
    }
}

/// terminate_app for a connection that has gone: it still gets its one outcome.
fn miss(command: &Command, conn: ConnId, cx: &mut Context) {
    if let Command::Terminate { request, .. } = command {
        cannot_terminate(
            conn,
            *request,
            OutcomeKind::Vanished,
            "the agent is not connected",
            cx,
        );
    }
}

fn apply_to_conversation(
    command: Command,
    conn: ConnId,
    conversation: &mut Conversation,
    cx: &mut Context,
) {
    match command {
        // Too late: the closing has begun, and its end will be told.
        Command::Accept { .. } | Command::AcceptWatcher { .. } if !conversation.is_open() => {}
        Command::Accept {
            agent_id,
            replies,
            notice_only,
        } => {
            let identity = &mut conversation.identity;
            let was_heartbeat = identity.become_agent(agent_id, notice_only, cx);
            conversation.stay();
            if was_heartbeat {
                conversation.send_heartbeat_response(cx);
            }
            send_all(conversation, &replies, cx);
            conversation.handle_early(conn, cx);
        }
        Command::AcceptWatcher { replies } => {
            conversation.identity.become_watcher(cx);
            conversation.stay();
            send_all(conversation, &replies, cx);
            conversation.handle_early(conn, cx);
        }
        Command::LiftDeadline => {
            conversation.identity.lift_deadline();
            conversation.stay();
        }
        Command::Refuse { frame } => {
            conversation.identity.stay_unauthenticated();
            conversation.send(&frame, cx);
            if let Err(close_frame) = conversation.identity.count_error(cx) {
                conversation.close(&close_frame, cx);
            }
        }
        Command::Close(close_frame) => conversation.close(&close_frame, cx),
        Command::ReadOn => conversation.read_on(),
        Command::HearNextBeat => conversation.identity.hear_next_beat(conn, cx),
        Command::Terminate {
            request,
            timeout_ms,
            max_extension_ms,
            reason,
        } => {
            let deadline = cx.now_ms.saturating_add(timeout_ms);
            let latest = deadline.saturating_add(max_extension_ms);
            let termination = single_termination(request, deadline, latest, cx);
            terminate_one(conn, conversation, termination, &reason, cx);
        }
        // Done already, for either stage.
        Command::Send(_) | Command::SendPacket(_) | Command::Abort => {}
        // Meant for a request that this connection made before it became a WebSocket: there is none.
        Command::Respond(_)
        | Command::RespondMore(_)
        | Command::ReadBody
        | Command::AcceptUpgrade(_) => {}
    }
}

fn single_termination(request: Uuid, deadline: u64, latest: u64, cx: &Context) -> Termination {
    Termination {
        request,
        deadline,
        latest,
        drain: false,
        notice: false,
        sent_us: cx.now_us,
        refused: None,
    }
}

fn terminate_one(
    conn: ConnId,
    conversation: &mut Conversation,
    termination: Termination,
    reason: &str,
    cx: &mut Context,
) {
    if !conversation.is_open() || !conversation.identity.is_agent() {
        cannot_terminate(
            conn,
            termination.request,
            OutcomeKind::Vanished,
            "the connection is closing",
            cx,
        );
        return;
    }
    send_terminate(
        conn,
        conversation,
        termination,
        &mut TerminateFrame::new(reason),
        cx,
    );
}

fn cannot_terminate(conn: ConnId, request: Uuid, kind: OutcomeKind, why: &str, cx: &mut Context) {
    cx.tell(Event::Outcome(Box::new(Outcome {
        conn,
        request,
        kind,
        incomplete: false,
        latency_us: 0,
        message: why.into(),
        drain: false,
    })));
}

fn send_all(conversation: &mut Conversation, frames: &[Arc<[u8]>], cx: &mut Context) {
    for frame in frames {
        conversation.send(frame, cx);
    }
}

/// Goes on with input that was kept back while an introduction, or too many messages, waited for the owner, or others for
/// their turn.
pub(super) fn resume(conn: ConnId, peer: &mut Peer, cx: &mut Context) {
    if let Stage::Conversation(conversation) = &mut peer.stage
        && conversation.has_kept()
    {
        peer.on_data(conn, &mut [], cx);
    }
}

/// Goes on with a request that came while another waited for its answer.
pub(super) fn after_response(notify: bool, conn: ConnId, peer: &mut Peer, cx: &mut Context) {
    if let Stage::Http(http) = &peer.stage
        && http.has_input()
    {
        peer.on_data(conn, &mut [], cx);
    }
    if notify {
        peer.transmit(cx);
        peer.notify_when_drained(conn, cx);
    }
}
