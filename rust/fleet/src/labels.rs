//! Labels: what a fleet calls its agents by, besides their ids (`dscore.labels` says how they are shown, and
//! `dscore_agent.labels` tells a config's author what is left out here).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

const MAX_LABELS: usize = 16;
/// Characters.
const MAX_NAME: usize = 63;
/// Characters.
const MAX_VALUE: usize = 128;

#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow, default)]
    labels: Option<&'a RawValue>,
}

/// Labels that are shared at most; what more there are has strings of its own.
const MAX_SHARED: usize = 4096;

/// The labels of all agents: a site's is one string for everything on it.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    known: HashSet<Arc<str>>,
    /// Labels that found no room since the last sweep: a sweep looks at all that are known.
    unshared: usize,
}

impl Labels {
    /// The labels in a config as `name=value`, sorted; what is too much or no string is left out. `None`: there are none.
    pub(crate) fn read(&mut self, config: &[u8]) -> Option<Box<[Arc<str>]>> {
        let config: Config<'_> = serde_json::from_slice(config).ok()?;
        let labels: BTreeMap<String, &RawValue> =
            serde_json::from_str(config.labels?.get()).ok()?;
        let mut found: Vec<String> = labels
            .iter()
            .filter_map(|(name, value)| {
                let value: String = serde_json::from_str(value.get()).ok()?;
                fits(name, &value).then(|| format!("{name}={value}"))
            })
            .collect();
        found.sort_unstable();
        found.truncate(MAX_LABELS);
        (!found.is_empty()).then(|| found.iter().map(|label| self.shared(label)).collect())
    }

    fn shared(&mut self, label: &str) -> Arc<str> {
        if let Some(known) = self.known.get(label) {
            return known.clone();
        }
        // Peers choose them: those that no agent has any more make room.
        if self.known.len() >= MAX_SHARED {
            if self.unshared == 0 {
                self.known.retain(|known| Arc::strong_count(known) > 1);
            }
            self.unshared = (self.unshared + 1) % MAX_SHARED;
        }
        let label: Arc<str> = label.into();
        if self.known.len() < MAX_SHARED {
            self.known.insert(label.clone());
        }
        label
    }
}

fn fits(name: &str, value: &str) -> bool {
    !name.is_empty()
        && !name.contains('=')
        && name.chars().count() <= MAX_NAME
        && value.chars().count() <= MAX_VALUE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(config: &str) -> Vec<String> {
        let read = Labels::default()
            .read(config.as_bytes())
            .unwrap_or_default();
        read.iter().map(|label| label.to_string()).collect()
    }

    #[test]
    fn are_sorted_and_what_does_not_fit_is_left_out() {
        let config =
            r#"{"labels":{"site":"busan","line":"3","n":7,"":"x","a=b":"c","e":""},"fps":25}"#;
        assert_eq!(labels(config), ["e=", "line=3", "site=busan"]);
        let long = "ä".repeat(MAX_VALUE);
        assert_eq!(
            labels(&format!(r#"{{"labels":{{"x":"{long}"}}}}"#)).len(),
            1
        );
        assert!(labels(&format!(r#"{{"labels":{{"x":"{long}ä"}}}}"#)).is_empty());
    }

    #[test]
    fn of_no_object_are_none() {
        for config in [
            "{}",
            r#"{"labels":null}"#,
            r#"{"labels":[1]}"#,
            "not JSON",
            r#"{"labels":{}}"#,
        ] {
            assert!(labels(config).is_empty(), "{config}");
        }
    }

    #[test]
    fn are_bounded_in_number() {
        let many: Vec<String> = (0..100).map(|n| format!(r#""{n:03}":"v""#)).collect();
        let found = labels(&format!(r#"{{"labels":{{{}}}}}"#, many.join(",")));
        assert_eq!((found.len(), found[15].as_str()), (MAX_LABELS, "015=v"));
    }

    #[test]
    fn are_one_string_for_all_agents_that_have_them() {
        let mut all = Labels::default();
        let mut read = |config: &str| all.read(config.as_bytes()).unwrap_or_default();
        let first = read(r#"{"labels":{"site":"busan"}}"#);
        let second = read(r#"{"labels":{"line":"3","site":"busan"}}"#);
        assert!(Arc::ptr_eq(&first[0], &second[1]));
    }

    #[test]
    fn of_agents_that_have_gone_make_room() {
        let mut all = Labels::default();
        let read = |all: &mut Labels, n: usize| {
            all.read(format!(r#"{{"labels":{{"n":"{n}"}}}}"#).as_bytes())
        };
        let kept = read(&mut all, 0).unwrap_or_default();
        for n in 1..3 * MAX_SHARED {
            read(&mut all, n);
            assert!(all.known.len() <= MAX_SHARED);
        }
        let again = read(&mut all, 0).unwrap_or_default();
        assert!(Arc::ptr_eq(&kept[0], &again[0]));
    }
}
