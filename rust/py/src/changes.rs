//! `Changes`: converted where it is asked for, by the thread that writes. Documented in `_core.pyi`.

use dscore_fleet::{EntriesRow, KeptState, Row, SeenRow};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

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

    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut values = Vec::with_capacity(16 * self.0.rows.len());
        for row in &self.0.rows {
            push_row(py, &mut values, row, self.0.age)?;
        }
        PyList::new(py, values)
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

    fn seen<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut values = Vec::with_capacity(3 * self.0.seen.len());
        for SeenRow {
            number,
            seen_at,
            heartbeat_at,
        } in &self.0.seen
        {
            values.push(number.into_bound_py_any(py)?);
            values.push(seen_at.into_bound_py_any(py)?);
            values.push(heartbeat_at.into_bound_py_any(py)?);
        }
        PyList::new(py, values)
    }

    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut values = Vec::with_capacity(4 * self.0.entries.len());
        for EntriesRow {
            number,
            agent,
            count,
            entries,
        } in &self.0.entries
        {
            values.push(number.into_bound_py_any(py)?);
            values.push(agent.into_bound_py_any(py)?);
            values.push(count.into_bound_py_any(py)?);
            values.push(PyBytes::new(py, entries).into_any());
        }
        PyList::new(py, values)
    }

    fn messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut values = Vec::with_capacity(3 * self.0.messages.len());
        for (number, agent_id, text) in &self.0.messages {
            values.push(number.into_bound_py_any(py)?);
            values.push(agent_id.into_bound_py_any(py)?);
            values.push(PyBytes::new(py, text).into_any());
        }
        PyList::new(py, values)
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

fn push_row<'py>(
    py: Python<'py>,
    values: &mut Vec<Bound<'py, PyAny>>,
    row: &Row,
    age: i64,
) -> PyResult<()> {
    let KeptState {
        state,
        reason,
        session,
    } = &row.kept;
    let (last_close, left_at, dropped) = session_columns(session.as_ref());
    values.push(row.number.into_bound_py_any(py)?);
    values.push(row.agent_id.into_bound_py_any(py)?);
    values.push(state.name().into_bound_py_any(py)?);
    values.push(reason.map(|reason| reason.name()).into_bound_py_any(py)?);
    values.push(row.ip.into_bound_py_any(py)?);
    values.push(row.dialect.name().into_bound_py_any(py)?);
    values.push(row.generation.into_bound_py_any(py)?);
    values.push(row.introduced_by.into_bound_py_any(py)?);
    values.push(row.connected_at.into_bound_py_any(py)?);
    values.push(age.into_bound_py_any(py)?);
    values.push(row.seen_at.into_bound_py_any(py)?);
    values.push(row.heartbeat_at.into_bound_py_any(py)?);
    values.push(last_close.into_bound_py_any(py)?);
    values.push(left_at.into_bound_py_any(py)?);
    values.push(dropped.into_bound_py_any(py)?);
    let config = row.config.as_deref().map(|config| PyBytes::new(py, config));
    values.push(config.into_bound_py_any(py)?);
    Ok(())
}

fn session_columns(session: Option<&(u16, Option<i64>, u64)>) -> (Option<u16>, Option<i64>, u64) {
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
