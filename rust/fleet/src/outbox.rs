//! Messages that wait for an agent, and those that are on their way to it.
//!
//! What is lent stays until it is settled, and comes first again when it is given back: a connection that ends in
//! between loses none.

use std::collections::VecDeque;
use std::sync::Arc;

use dscore_traffic::ConnId;

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Grows with every message of any agent, across restarts.
    pub number: u64,
    /// JSON.
    pub text: Arc<[u8]>,
}

/// The messages of one agent, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Message>,
    /// All of them are older than those that wait.
    lent: Vec<Message>,
    /// The connection that they were lent to.
    lent_to: Option<ConnId>,
    waiting_bytes: usize,
}

impl Outbox {
    /// How many wait, those that are lent not among them.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Of those that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether it holds nothing at all.
    pub(crate) fn is_unused(&self) -> bool {
        self.waiting.is_empty() && self.lent_to.is_none()
    }

    pub(crate) fn lent_to(&self) -> Option<ConnId> {
        self.lent_to
    }

    /// The newest.
    pub(crate) fn push(&mut self, message: Message) {
        self.waiting_bytes += message.text.len();
        self.waiting.push_back(message);
    }

    /// The oldest of those that wait.
    pub(crate) fn first(&self) -> Option<&Message> {
        self.waiting.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.waiting.pop_front()?;
        self.waiting_bytes -= message.text.len();
        Some(message)
    }

    /// Takes out the one of this number, if it waits.
    pub(crate) fn withdraw(&mut self, number: u64) -> Option<Message> {
        let index = self
            .waiting
            .binary_search_by_key(&number, |message| message.number)
            .ok()?;
        let message = self.waiting.remove(index)?;
        self.waiting_bytes -= message.text.len();
        Some(message)
    }

    /// Lends the oldest: as many as fit, at least one.
    pub(crate) fn lend(&mut self, conn: ConnId, max_bytes: usize) -> Vec<Arc<[u8]>> {
        let mut left = max_bytes;
        let mut texts = Vec::new();
        while let Some(first) = self.first() {
            let size = first.text.len();
            if !texts.is_empty() && size > left {
                break;
            }
            left = left.saturating_sub(size);
            if let Some(message) = self.pop() {
                texts.push(message.text.clone());
                self.lent.push(message);
            }
        }
        if !texts.is_empty() {
            self.lent_to = Some(conn);
        }
        texts
    }

    /// What was lent has come, or goes with its session.
    pub(crate) fn settle(&mut self) -> Vec<Message> {
        self.lent_to = None;
        std::mem::take(&mut self.lent)
    }

    /// What was lent waits again.
    pub(crate) fn give_back(&mut self) {
        self.lent_to = None;
        for message in self.lent.drain(..).rev() {
            self.waiting_bytes += message.text.len();
            self.waiting.push_front(message);
        }
    }

    /// Those that wait.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.waiting.iter()
    }

    /// The one of this number, waiting or lent.
    pub(crate) fn find(&self, number: u64) -> Option<&Message> {
        let of = |message: &Message| message.number;
        let waiting = self.waiting.binary_search_by_key(&number, of);
        let lent = || self.lent.binary_search_by_key(&number, of);
        match waiting {
            Ok(index) => self.waiting.get(index),
            Err(_) => self.lent.get(lent().ok()?),
        }
    }
}
