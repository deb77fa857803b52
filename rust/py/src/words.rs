//! Words that Python has for the variants of an enum.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The variant of this name.
pub(crate) fn word<T>(from_name: fn(&str) -> Option<T>, name: &str, what: &str) -> PyResult<T> {
    from_name(name).ok_or_else(|| PyValueError::new_err(format!("{what}: {name:?} is none")))
}
