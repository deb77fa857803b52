//! `Changes`: converted where it is asked for, by the thread that writes, and as many rows at a time as it binds: of a whole
//! fleet they would be megabytes of objects. Documented in `_core.pyi`.
//!
//! sqlite3 looks for an adapter of every value that is no plain int, float, str or bytearray, in vain and for half a
//! microsecond each. So a BLOB is a bytearray here, and NULL is a NaN, which SQLite takes for NULL.

use dscore_fleet::{Address, KeptSession, KeptState};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyFloat, PyList, PyString};

/// What is to be written. Values of rows are flat: that is how they are bound.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct Changes(pub(crate) dscore_fleet::Changes);

/// A statement's own values, and its condition.
type StateRow<'a> = (
    &'static str,
    Option<&'static str>,
    Option<u16>,
    Option<i64>,
    u64,
    Option<i64>,
    String,
);

type Values<'py> = Bound<'py, PyList>;

/// Numbers in one condition.
const NUMBERS: usize = 5000;

#[pymethods]
impl Changes {
    #[getter]
    fn version(&self) -> u64 {
        self.0.version
    }

    #[getter]
    fn age(&self) -> i64 {
        self.0.age
    }

    #[getter]
    fn forgotten(&self) -> Vec<u64> {
        self.0.forgotten.clone()
    }

    fn rows<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Values<'py>> {
        let mut values = Bind::new(py);
        let mut alike = Alike::default();
        let age = self.0.age.into_bound_py_any(py)?;
        for row in part(&self.0.rows, start, stop) {
            let KeptState {
                state,
                reason,
                session,
            } = &row.kept;
            let (last_close, left_at, dropped) = session_columns(session.as_ref());
            values.push(row.number)?;
            values.push(&*row.agent_id)?;
            values.push(alike.state.text(py, state.name()))?;
            values.push_or_null(reason.map(|reason| alike.reason.text(py, reason.name())))?;
            let ip = |ip: &&Address| ip.with_text(|text| PyString::new(py, text).into_any());
            values.push(alike.ip.object(&row.ip, ip))?;
            values.push(alike.dialect.text(py, row.dialect.name()))?;
            values.push(row.generation)?;
            values.push(alike.introduced_by.text(py, row.introduced_by.name()))?;
            values.push(row.connected_at)?;
            values.push(&age)?;
            values.push_or_null(row.seen_at)?;
            values.push_or_null(row.heartbeat_at)?;
            values.push_or_null(last_close)?;
            values.push_or_null(left_at)?;
            values.push(dropped)?;
            let config = |json: &&[u8]| PyByteArray::new(py, json).into_any();
            values.push_or_null(
                row.config
                    .as_deref()
                    .map(|json| alike.config.object(json, config)),
            )?;
        }
        values.list()
    }

    fn states(&self) -> Vec<StateRow<'_>> {
        let mut rows = Vec::new();
        for (kept, seen_at, numbers) in &self.0.states {
            let KeptState {
                state,
                reason,
                session,
            } = kept;
            let reason = reason.map(|reason| reason.name());
            let (last_close, left_at, dropped) = session_columns(session.as_ref());
            for part in numbers.chunks(NUMBERS) {
                rows.push((
                    state.name(),
                    reason,
                    last_close,
                    left_at,
                    dropped,
                    *seen_at,
                    condition(part),
                ));
            }
        }
        rows
    }

    fn seen<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Values<'py>> {
        let mut values = Bind::new(py);
        for row in part(&self.0.seen, start, stop) {
            values.push(row.number)?;
            values.push_or_null(row.seen_at)?;
            values.push_or_null(row.heartbeat_at)?;
        }
        values.list()
    }

    fn entries<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Values<'py>> {
        let mut values = Bind::new(py);
        for row in self.0.entries.rows(start..stop) {
            values.push(row.number)?;
            values.push(row.agent)?;
            values.push(row.count)?;
            values.push(PyByteArray::new(py, &row.entries))?;
        }
        values.list()
    }

    fn messages<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> PyResult<Values<'py>> {
        let mut values = Bind::new(py);
        for (number, agent_id, text) in part(&self.0.messages, start, stop) {
            values.push(number)?;
            values.push(&**agent_id)?;
            values.push(PyByteArray::new(py, text))?;
        }
        values.list()
    }

    #[getter]
    fn delivered(&self) -> Vec<u64> {
        self.0.delivered.clone()
    }

    fn __len__(&self) -> usize {
        let changes = &self.0;
        let many = changes.states.iter().map(|(_, _, numbers)| numbers.len());
        changes.forgotten.len()
            + changes.rows.len()
            + many.sum::<usize>()
            + changes.seen.len()
            + changes.entries.len()
            + changes.messages.len()
            + changes.delivered.len()
    }
}

/// Rows of a part, none where there are no more.
fn part<T>(rows: &[T], start: usize, stop: usize) -> &[T] {
    rows.get(start.min(rows.len())..stop.min(rows.len()))
        .unwrap_or_default()
}

/// Values as sqlite3 binds them at once.
struct Bind<'py> {
    py: Python<'py>,
    values: Vec<Bound<'py, PyAny>>,
    null: Bound<'py, PyAny>,
}

impl<'py> Bind<'py> {
    fn new(py: Python<'py>) -> Self {
        Self {
            py,
            values: Vec::new(),
            null: PyFloat::new(py, f64::NAN).into_any(),
        }
    }

    fn push(&mut self, value: impl IntoPyObjectExt<'py>) -> PyResult<()> {
        self.values.push(value.into_bound_py_any(self.py)?);
        Ok(())
    }

    fn push_or_null(&mut self, value: Option<impl IntoPyObjectExt<'py>>) -> PyResult<()> {
        match value {
            Some(value) => self.push(value),
            None => self.push(self.null.clone()),
        }
    }

    fn list(self) -> PyResult<Values<'py>> {
        PyList::new(self.py, self.values)
    }
}

/// What is the same in most rows that follow one another.
#[derive(Default)]
struct Alike<'r, 'py> {
    state: Last<'py, &'static str>,
    reason: Last<'py, &'static str>,
    ip: Last<'py, &'r Address>,
    dialect: Last<'py, &'static str>,
    introduced_by: Last<'py, &'static str>,
    config: Last<'py, &'r [u8]>,
}

/// The value of the row before, and the object that it was bound as: one for all that are the same.
struct Last<'py, T>(Option<(T, Bound<'py, PyAny>)>);

impl<T> Default for Last<'_, T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'py, T: PartialEq> Last<'py, T> {
    fn object(&mut self, value: T, make: impl Fn(&T) -> Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        match &self.0 {
            Some((last, object)) if *last == value => object.clone(),
            _ => {
                let object = make(&value);
                self.0 = Some((value, object.clone()));
                object
            }
        }
    }
}

impl<'py> Last<'py, &'static str> {
    fn text(&mut self, py: Python<'py>, name: &'static str) -> Bound<'py, PyAny> {
        self.object(name, |name| PyString::new(py, name).into_any())
    }
}

fn session_columns(session: Option<&KeptSession>) -> (Option<u16>, Option<i64>, u64) {
    session.map_or((None, None, 0), |&(last_close, left_at, dropped)| {
        (Some(last_close), left_at, dropped)
    })
}

/// Which rows these are, in SQL: all of a range but a few, where that is the shorter way. Numbers ascend.
fn condition(numbers: &[u64]) -> String {
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
        return "false".to_owned();
    };
    if last - first >= 2 * numbers.len() as u64 {
        return format!("number IN ({})", joined(numbers.iter().copied()));
    }
    let mut wanted = numbers.iter().copied().peekable();
    let others = joined((first..=last).filter(|number| wanted.next_if_eq(number).is_none()));
    if others.is_empty() {
        format!("number BETWEEN {first} AND {last}")
    } else {
        format!("number BETWEEN {first} AND {last} AND number NOT IN ({others})")
    }
}

fn joined(numbers: impl Iterator<Item = u64>) -> String {
    let texts: Vec<String> = numbers.map(|number| number.to_string()).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_the_shorter_way_to_say_which() {
        assert_eq!(condition(&[]), "false");
        assert_eq!(condition(&[7]), "number BETWEEN 7 AND 7");
        assert_eq!(condition(&[3, 4, 5]), "number BETWEEN 3 AND 5");
        assert_eq!(
            condition(&[3, 4, 6, 7]),
            "number BETWEEN 3 AND 7 AND number NOT IN (5)"
        );
        assert_eq!(condition(&[3, 900]), "number IN (3,900)");
    }
}
