//! One agent and its place in the kernel.

use rustix::io;

use crate::agent::Agent;
use crate::line::Line;

pub(crate) struct Peer {
    pub(crate) agent: Agent,
    pub(crate) line: Option<Line>,
    /// A started frame or head, to go in front of the next bytes.
    pub(crate) kept: Vec<u8>,
    unsent: Vec<u8>,
    /// Begun, and not yet introduced.
    pub(crate) under_way: bool,
}

impl Peer {
    pub(crate) fn new(agent: Agent) -> Self {
        Self {
            agent,
            line: None,
            kept: Vec::new(),
            unsent: Vec::new(),
            under_way: false,
        }
    }

    /// Puts what was kept and what can be read into `input`; says how much that is, and whether the socket may hold more.
    /// `None`: nothing to read now, or no socket.
    ///
    /// # Errors
    /// The connection has ended, in order or not.
    pub(crate) fn fill(&mut self, input: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let Some(line) = &mut self.line else {
            return Ok(None);
        };
        let (kept, space) = input.split_at_mut(self.kept.len());
        let Some((got, more)) = line.receive(space)? else {
            return Ok(None);
        };
        kept.copy_from_slice(&self.kept);
        self.kept.clear();
        Ok(Some((kept.len() + got, more)))
    }

    /// Sends what is in `out`, behind what is waiting already, and empties it.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(line) = &mut self.line {
            if !self.unsent.is_empty() {
                self.unsent.append(out);
                std::mem::swap(&mut self.unsent, out);
            }
            // An error here is an end, which the socket tells of as well.
            let sent = line.send(out).unwrap_or(out.len());
            self.unsent.clear();
            self.unsent.extend_from_slice(&out[sent..]);
        }
        out.clear();
    }

    /// Lets go of the connection and all that was kept for it.
    pub(crate) fn hang_up(&mut self) {
        self.line = None;
        self.kept = Vec::new();
        self.unsent = Vec::new();
    }
}
