//! Why a message was refused; the connection lives on (PROTOCOL.md §10).

use std::fmt;

/// The `code` of an `error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// Not a JSON object.
    BadJson,
    /// No `type`, or one that is no string.
    BadType,
    /// A field that must be there is not, or the agent id is empty.
    MissingField,
    /// A field of the wrong type, or too long.
    BadField,
    /// Another agent's id on an introduced connection.
    WrongId,
    /// Unauthenticated, and not an introduction.
    NotIntroduced,
    /// Not allowed to this connection.
    Forbidden,
}

impl RefusalCode {
    const ALL: [Self; 7] = [
        Self::BadJson,
        Self::BadType,
        Self::MissingField,
        Self::BadField,
        Self::WrongId,
        Self::NotIntroduced,
        Self::Forbidden,
    ];

    /// The code of this name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == name)
    }

    /// The code as it goes over the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadType => "bad_type",
            Self::MissingField => "missing_field",
            Self::BadField => "bad_field",
            Self::WrongId => "wrong_id",
            Self::NotIntroduced => "not_introduced",
            Self::Forbidden => "forbidden",
        }
    }
}

/// A refused message. Its `Display` is the sentence for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For machines.
    pub code: RefusalCode,
    /// The field at fault, if it is one.
    pub field: Option<&'static str>,
    sentence: &'static str,
    /// The column of a syntax error, from 1; 0 if there is none.
    column: usize,
}

impl Refusal {
    /// A refusal of the message as a whole.
    pub fn new(code: RefusalCode) -> Self {
        let sentence = match code {
            RefusalCode::BadJson => "the message is not a JSON object",
            RefusalCode::BadType => "the message needs a `type` that is a string",
            RefusalCode::MissingField => "a field is missing",
            RefusalCode::BadField => "a field has the wrong type or is too long",
            RefusalCode::WrongId => "the message carries another agent's id",
            RefusalCode::NotIntroduced => "the connection must introduce itself first",
            RefusalCode::Forbidden => "the connection is not allowed to do this",
        };
        Self {
            code,
            field: None,
            sentence,
            column: 0,
        }
    }

    /// The same, for a reason of its own.
    pub fn because(code: RefusalCode, sentence: &'static str) -> Self {
        Self {
            sentence,
            ..Self::new(code)
        }
    }

    pub(super) fn syntax(column: usize) -> Self {
        let sentence = "the message is not valid JSON";
        Self {
            sentence,
            column,
            ..Self::new(RefusalCode::BadJson)
        }
    }

    pub(super) fn missing(field: &'static str) -> Self {
        Self {
            field: Some(field),
            sentence: "is missing",
            ..Self::new(RefusalCode::MissingField)
        }
    }

    pub(super) fn bad(field: &'static str, sentence: &'static str) -> Self {
        Self {
            field: Some(field),
            sentence,
            ..Self::new(RefusalCode::BadField)
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = self.field {
            write!(f, "`{field}` ")?;
        }
        f.write_str(self.sentence)?;
        if self.column > 0 {
            write!(f, " (column {})", self.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
