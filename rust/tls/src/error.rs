//! What is wrong with a configuration's files: which, what, and what helps.

use std::path::{Path, PathBuf};

/// Why TLS cannot be had from these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {why}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// As the system says it.
        why: String,
    },
    /// What is in a file is not what it should be.
    #[error("{path}: {what}")]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would help.
        what: String,
    },
    /// The parts do not go together.
    #[error("{0}")]
    Unusable(String),
}

impl TlsError {
    pub(crate) fn unfit(path: &Path, what: impl Into<String>) -> Self {
        Self::Unfit {
            path: path.into(),
            what: what.into(),
        }
    }
}

/// The bytes of a file, which are to be a few: a certificate, a key, a list.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Unreadable {
        path: path.into(),
        why: error.to_string(),
    })
}
