//! The exception classes, and one conversion for each Rust error.

use std::io;

use dscore_reactor::Stopped;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

create_exception!(
    dscore._core,
    CoreError,
    PyException,
    "Base of every error the core raises on purpose."
);
create_exception!(
    dscore._core,
    PoolClosedError,
    CoreError,
    "The pool was closed, or its reactors have stopped."
);
create_exception!(
    dscore._core,
    ForkedError,
    CoreError,
    "The pool was made in another process: reactor threads do not survive a fork. Make a pool of your own."
);

static BIND_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("CoreError", py.get_type::<CoreError>())?;
    module.add("PoolClosedError", py.get_type::<PoolClosedError>())?;
    module.add("ForkedError", py.get_type::<ForkedError>())?;
    module.add("BindError", bind_error_type(py)?)
}

/// Both a `CoreError` and an `OSError`, which `create_exception!` cannot say.
fn bind_error_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    let class = BIND_ERROR.get_or_try_init(py, || {
        let bases = PyTuple::new(py, [py.get_type::<CoreError>(), py.get_type::<PyOSError>()])?;
        let namespace = PyDict::new(py);
        namespace.set_item("__module__", "dscore._core")?;
        namespace.set_item(
            "__doc__",
            "The listening address cannot be had; `errno` says why.",
        )?;
        let class = py
            .get_type::<PyType>()
            .call1(("BindError", bases, namespace))?;
        Ok::<_, PyErr>(class.cast_into::<PyType>()?.unbind())
    })?;
    Ok(class.bind(py))
}

pub(crate) fn bind_error(py: Python<'_>, address: &str, error: &io::Error) -> PyErr {
    let message = format!("cannot listen on {address}: {error}");
    let made = bind_error_type(py).and_then(|class| class.call1((error.raw_os_error(), message)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

pub(crate) fn stopped(_: Stopped) -> PyErr {
    PoolClosedError::new_err("the pool is closed")
}
