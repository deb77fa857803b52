//! Requests: those to the app and to Engine.IO sessions, and the upgrade that makes a connection a WebSocket.

mod answer;
mod body;
pub(crate) mod cors;
mod dispatch;
mod ending;
mod guest;
mod peer;
mod response;
mod turn;
mod upgrade;
mod upload;

pub(crate) use peer::{Became, HttpPeer};
pub(crate) use upgrade::bearer;

#[cfg(test)]
mod tests;
