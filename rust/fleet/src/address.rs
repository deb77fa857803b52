//! Where a connection comes from: an IPv4 address in four bytes, for a fleet has thousands of them, anything else as its text.

use std::fmt;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// An address, or what an agent's own heartbeat says in place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Kept);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    V4(Ipv4Addr),
    Text(Arc<str>),
}

/// The longest is "255.255.255.255".
const MAX_V4_LENGTH: usize = 15;

impl Address {
    /// Of this text, which a caller that has one already may share.
    pub(crate) fn new(text: &str, share: impl FnOnce(&str) -> Arc<str>) -> Self {
        // What is parsed here has one spelling only: it is shown as it came.
        Self(match text.parse() {
            Ok(address) => Kept::V4(address),
            Err(_) => Kept::Text(share(text)),
        })
    }

    /// Calls `read` with the text.
    pub fn with_text<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        match &self.0 {
            Kept::Text(text) => read(text),
            Kept::V4(address) => {
                let mut buffer = [0; MAX_V4_LENGTH];
                let mut rest = &mut buffer[..];
                // It has the room.
                let _written = write!(rest, "{address}");
                let length = MAX_V4_LENGTH - rest.len();
                read(std::str::from_utf8(&buffer[..length]).unwrap_or_default())
            }
        }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self(Kept::V4(address))
    }
}

impl From<Arc<str>> for Address {
    fn from(text: Arc<str>) -> Self {
        Self::new(&text, |_| text.clone())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| formatter.pad(text))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_as_it_came() {
        for text in [
            "",
            "10.0.0.7",
            "255.255.255.255",
            "0.0.0.0",
            "010.0.0.7",
            "10.0.0.7 ",
            "10.0.0",
            "2001:db8::7",
            "::ffff:10.0.0.7",
            "camera 7",
        ] {
            let address = Address::from(Arc::from(text));
            assert_eq!(address.to_string(), text);
            assert_eq!(address.with_text(str::to_owned), text);
            assert_eq!(
                serde_json::to_value(&address).ok(),
                Some(serde_json::Value::from(text))
            );
        }
    }

    #[test]
    fn takes_no_memory_of_its_own_where_it_is_one_of_ipv4() {
        assert_eq!(size_of::<Address>(), 16);
        let address = Address::new("10.0.0.7", |_| unreachable!());
        assert_eq!(address, Ipv4Addr::new(10, 0, 0, 7).into());
    }
}
