//! The liveness table as data, and the one look-up in it.

use thiserror::Error;

use crate::words::{Grace, Input, Reason, State};

/// A cell: what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The next state.
    pub state: State,
    /// What happens to the grace period.
    pub grace: Grace,
    /// Why the agent is offline from then on; `None` leaves the reason it had.
    pub reason: Option<Reason>,
}

/// There is no such cell: the table says that it cannot happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("liveness: {} while {}", .input.name(), .state.name())]
pub struct MissingCell {
    /// The state that the agent is left in.
    pub state: State,
    /// What happened in it.
    pub input: Input,
}

/// A row that is no cell of a liveness table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// A word that has no meaning where it stands.
    #[error("the liveness table: {0:?} is no {1}")]
    UnknownWord(String, &'static str),
    /// Two rows for one cell.
    #[error("the liveness table: two cells for {} while {}", .0.name(), .1.name())]
    Twice(Input, State),
}

/// The table: a cell for each state and input that can meet.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    cells: [[Option<Step>; 12]; 7],
}

const _: () = assert!(State::ALL.len() == 7 && Input::ALL.len() == 12);

impl Tables {
    /// Puts a cell in.
    ///
    /// # Errors
    /// A word is unknown, or the cell was put in before.
    pub fn put(
        &mut self,
        (state, input): (&str, &str),
        (next, grace, reason): (&str, &str, Option<&str>),
    ) -> Result<(), TableError> {
        let state = word(State::from_name, state, "state")?;
        let input = word(Input::from_name, input, "input")?;
        let step = Step {
            state: word(State::from_name, next, "state")?,
            grace: word(Grace::from_name, grace, "grace")?,
            reason: reason
                .map(|reason| word(Reason::from_name, reason, "reason"))
                .transpose()?,
        };
        match self.cells[state as usize][input as usize].replace(step) {
            None => Ok(()),
            Some(_) => Err(TableError::Twice(input, state)),
        }
    }

    /// What follows.
    ///
    /// # Errors
    /// There is no such cell.
    pub fn step(&self, state: State, input: Input) -> Result<Step, MissingCell> {
        self.cells[state as usize][input as usize].ok_or(MissingCell { state, input })
    }
}

fn word<T>(
    from_name: fn(&str) -> Option<T>,
    name: &str,
    what: &'static str,
) -> Result<T, TableError> {
    from_name(name).ok_or_else(|| TableError::UnknownWord(name.to_owned(), what))
}
