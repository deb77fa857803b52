//! The extension module `dscore._core`: its export list, nothing else.
use pyo3::prelude::*;

#[pymodule]
mod _core {}
