//! The fields of a message that the core acts on, as they lie in its text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Refusal, flat};
use crate::json;

/// Names of fields.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Type,
    InstanceId,
    ClientName,
    CheckedName,
    RequestId,
    Status,
    Message,
    Complete,
    Stage,
    NeedMs,
    Reconnection,
    LastCloseCode,
    Config,
    Token,
    IpAddress,
    Timestamp,
}

impl Field {
    const COUNT: usize = Self::Timestamp as usize + 1;

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "type" => Self::Type,
            "instance_id" => Self::InstanceId,
            "clientName" => Self::ClientName,
            "client_name" => Self::CheckedName,
            "request_id" => Self::RequestId,
            "status" => Self::Status,
            "message" => Self::Message,
            "complete" => Self::Complete,
            "stage" => Self::Stage,
            "need_ms" => Self::NeedMs,
            "reconnection" => Self::Reconnection,
            "last_close_code" => Self::LastCloseCode,
            "config" => Self::Config,
            "token" => Self::Token,
            "ip_address" => Self::IpAddress,
            "timestamp" => Self::Timestamp,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::InstanceId => "instance_id",
            Self::ClientName => "clientName",
            Self::CheckedName => "client_name",
            Self::RequestId => "request_id",
            Self::Status => "status",
            Self::Message => "message",
            Self::Complete => "complete",
            Self::Stage => "stage",
            Self::NeedMs => "need_ms",
            Self::Reconnection => "reconnection",
            Self::LastCloseCode => "last_close_code",
            Self::Config => "config",
            Self::Token => "token",
            Self::IpAddress => "ip_address",
            Self::Timestamp => "timestamp",
        }
    }
}

/// The JSON text of each field that was there, by [`Field`].
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'a> {
    json: [Option<&'a str>; Field::COUNT],
    /// Whether a name among them was no text: another reader of JSON may refuse all of it.
    pub(super) are_mended: bool,
}

impl<'a> Fields<'a> {
    /// Takes those of an object, with nothing behind it. In place: to move them costs as much as to find them.
    ///
    /// # Errors
    /// `bad_json`: it is none.
    pub(super) fn read(&mut self, text: &'a str) -> Result<(), Refusal> {
        if self.read_flat(text) || self.read_named::<Name>(text).is_ok() {
            return Ok(());
        }
        self.read_leniently(text)
    }

    /// Those of an object of plain strings, if it is one.
    fn read_flat(&mut self, text: &'a str) -> bool {
        flat::read(text, |name, value| {
            if let Some(field) = Field::of(name) {
                self.put(field, value);
            }
        })
    }

    /// Those of an object whose names are read as `N`, and nothing behind it. What was taken of it before is taken again.
    fn read_named<N>(&mut self, text: &'a str) -> serde_json::Result<()>
    where
        N: Deserialize<'a> + Into<Option<Field>>,
    {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let names = PhantomData::<N>;
        deserializer.deserialize_map(FieldsVisitor {
            fields: self,
            names,
        })?;
        deserializer.end()
    }

    /// serde_json refuses a lone surrogate in a name. It is rare, so only what was refused is read with care.
    #[cold]
    fn read_leniently(&mut self, text: &'a str) -> Result<(), Refusal> {
        self.are_mended = true;
        self.read_named::<LenientName>(text)
            .map_err(|error| Refusal::syntax(error.column()))
    }

    /// The JSON of a field; `None`: it is not there.
    pub(super) fn get(&self, field: Field) -> Option<&'a str> {
        self.json[field as usize]
    }

    fn put(&mut self, field: Field, json: &'a str) {
        self.json[field as usize] = Some(json);
    }

    /// The JSON of a field.
    ///
    /// # Errors
    /// `missing_field`.
    pub(super) fn raw(&self, field: Field) -> Result<&'a str, Refusal> {
        self.get(field).ok_or(Refusal::missing(field.name()))
    }

    /// A string: borrowed, unless it holds escapes.
    ///
    /// # Errors
    /// `missing_field`, or `bad_field` if it is no string.
    pub(super) fn string(&self, field: Field) -> Result<Cow<'a, str>, Refusal> {
        json::string(self.raw(field)?).ok_or(Refusal::bad(field.name(), "must be a string"))
    }
}

struct FieldsVisitor<'a, 'text, N> {
    fields: &'a mut Fields<'text>,
    names: PhantomData<N>,
}

impl<'de, N: Deserialize<'de> + Into<Option<Field>>> Visitor<'de> for FieldsVisitor<'_, 'de, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<N>()? {
            match name.into() {
                Some(field) => self.fields.put(field, map.next_value::<&RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A name as serde_json reads it.
struct Name(Option<Field>);

impl From<Name> for Option<Field> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(Field::of(name)))
    }
}

/// A name in which a lone surrogate escape is U+FFFD.
struct LenientName(Option<Field>);

impl From<LenientName> for Option<Field> {
    fn from(name: LenientName) -> Self {
        name.0
    }
}

impl<'de> Deserialize<'de> for LenientName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(
            json::string(raw.get()).and_then(|name| Field::of(&name)),
        ))
    }
}
