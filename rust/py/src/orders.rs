//! What the fleet has to say to the reactors: each ack is framed once, and used for all.

use std::sync::Arc;

use dscore_fleet::{Ack, Order};
use dscore_proto::close::CloseCode;
use dscore_proto::frame::Opcode;
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::Command;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::outgoing::framed;
use crate::pool::ReactorPool;

/// One ack: as text, and as a frame.
struct Framed {
    text: Vec<u8>,
    frame: Arc<[u8]>,
}

/// The acks of an app_ready; one that is not sent is `None`.
#[derive(Default)]
pub(crate) struct Acks {
    app_ready: Option<Framed>,
    reconnection: [Option<Framed>; 2],
}

impl Acks {
    /// Of an app_ready, of a reconnection whose session is new, of one whose session goes on.
    pub(crate) fn new(app_ready: Option<&[u8]>, is_new: &[u8], is_restored: &[u8]) -> Self {
        let ack = |text: &[u8]| Framed {
            text: text.into(),
            frame: framed(Opcode::Text, text),
        };
        Self {
            app_ready: app_ready.map(ack),
            reconnection: [Some(ack(is_new)), Some(ack(is_restored))],
        }
    }

    fn of(&self, ack: Ack) -> Option<&Framed> {
        match ack {
            Ack::AppReady => self.app_ready.as_ref(),
            Ack::Reconnection { is_restored } => {
                self.reconnection[usize::from(is_restored)].as_ref()
            }
            Ack::Other => None,
        }
    }
}

/// Gives orders to a pool. One that has stopped has no peer left to be told.
pub(crate) fn give(py: Python<'_>, pool: &ReactorPool, orders: Vec<Order>, acks: &Acks) {
    py.detach(|| {
        for order in orders {
            let (conn, command) = command(order, acks);
            pool.order(conn, command);
        }
    });
}

/// The same where a test plays the pool.
pub(crate) fn play(pool: &Bound<'_, PyAny>, orders: Vec<Order>, acks: &Acks) -> PyResult<()> {
    for order in orders {
        match order {
            Order::Accept {
                conn,
                agent_id,
                ack,
            } => {
                let framed = acks.of(ack);
                let replies = framed.map(|framed| PyBytes::new(pool.py(), &framed.text));
                let replies: Vec<_> = replies.into_iter().collect();
                let arguments = (conn.to_u64(), &*agent_id, replies);
                let options = PyDict::new(pool.py());
                options.set_item("notice_only", ack == Ack::Other)?;
                pool.call_method("accept", arguments, Some(&options))?;
            }
            Order::TakeOver(conn) => {
                let arguments = (conn.to_u64(), 4409, "taken over", "taken_over");
                pool.call_method1("close_connection", arguments)?;
            }
        }
    }
    Ok(())
}

fn command(order: Order, acks: &Acks) -> (ConnId, Command) {
    match order {
        Order::Accept {
            conn,
            agent_id,
            ack,
        } => {
            let framed = acks.of(ack).map(|framed| framed.frame.clone());
            let accept = Command::Accept {
                agent_id,
                replies: framed.into_iter().collect(),
                notice_only: ack == Ack::Other,
            };
            (conn, accept)
        }
        Order::TakeOver(conn) => {
            let close_frame = CloseFrame::new(CloseCode::TAKEN_OVER, "taken over", "taken_over");
            (conn, Command::Close(Box::new(close_frame)))
        }
    }
}
