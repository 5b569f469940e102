//! JSON as proto3 and the Cosmos SDK write it: integers of 64 bits and more are strings, since
//! programs in many languages read numbers as floats, which lose digits from 2^53 on. Shorter
//! integers are numbers. The type decides, not the value, so that a field always has one form.
//!
//! A `serde_json::Value` has lost its integer types and is printed as it is.

use std::io::{self, Write};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// Encodes on one line.
///
/// # Errors
/// If the value cannot be represented in JSON.
pub fn to_string(value: &impl Serialize) -> serde_json::Result<String> {
    written(value, CompactFormatter)
}

/// Encodes with indentation.
///
/// # Errors
/// If the value cannot be represented in JSON.
pub fn to_string_pretty(value: &impl Serialize) -> serde_json::Result<String> {
    written(value, PrettyFormatter::new())
}

fn written<F: Formatter>(value: &impl Serialize, layout: F) -> serde_json::Result<String> {
    let mut json = Vec::new();
    let formatter = WideAsText {
        layout,
        is_in_string: false,
    };
    value.serialize(&mut Serializer::with_formatter(&mut json, formatter))?;
    // The input was valid UTF-8.
    Ok(String::from_utf8_lossy(&json).into_owned())
}

/// Reads a 64-bit integer from a string or, as older versions wrote it, a number.
///
/// # Errors
/// For anything else.
pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Integer {
        Number(u64),
        Text(String),
    }
    match Integer::deserialize(deserializer)? {
        Integer::Number(number) => Ok(number),
        Integer::Text(text) => text.parse().map_err(de::Error::custom),
    }
}

/// Writes wide integers as strings; the inner formatter does the rest.
struct WideAsText<F> {
    layout: F,
    /// A number that is a map key is already in quotes.
    is_in_string: bool,
}

impl<F> WideAsText<F> {
    fn quoted(
        &self,
        writer: &mut (impl ?Sized + Write),
        value: impl std::fmt::Display,
    ) -> io::Result<()> {
        match self.is_in_string {
            true => write!(writer, "{value}"),
            false => write!(writer, "\"{value}\""),
        }
    }
}

/// Forwards methods to the inner formatter.
macro_rules! layout {
    ($($name:ident($($argument:ident: $kind:ty)?);)*) => {
        $(fn $name<W: ?Sized + Write>(
            &mut self,
            writer: &mut W
            $(, $argument: $kind)?
        ) -> io::Result<()> {
            self.layout.$name(writer $(, $argument)?)
        })*
    };
}

impl<F: Formatter> Formatter for WideAsText<F> {
    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.quoted(writer, value)
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.quoted(writer, value)
    }

    fn write_i128<W: ?Sized + Write>(&mut self, writer: &mut W, value: i128) -> io::Result<()> {
        self.quoted(writer, value)
    }

    fn write_u128<W: ?Sized + Write>(&mut self, writer: &mut W, value: u128) -> io::Result<()> {
        self.quoted(writer, value)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.is_in_string = true;
        self.layout.begin_string(writer)
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.is_in_string = false;
        self.layout.end_string(writer)
    }

    layout! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Example {
        height: u64,
        delta: i64,
        amount: u128,
        owed: Option<u64>,
        code: u32,
        score: i32,
        ratio: f64,
        text: &'static str,
        by_id: BTreeMap<u64, Vec<u64>>,
    }

    fn example() -> Example {
        Example {
            height: u64::MAX,
            delta: -1,
            amount: u128::MAX,
            owed: None,
            code: 7,
            score: -5,
            ratio: 0.5,
            text: "a \"1\"",
            by_id: BTreeMap::from([(1, vec![2, 3])]),
        }
    }

    #[test]
    fn wide_integers_are_text_and_the_rest_is_as_usual() {
        assert_eq!(
            to_string(&example()).unwrap(),
            format!(
                "{{\"height\":\"{}\",\"delta\":\"-1\",\"amount\":\"{}\",\"owed\":null,\"code\":7,\
                 \"score\":-5,\"ratio\":0.5,\"text\":\"a \\\"1\\\"\",\"by_id\":{{\"1\":[\"2\",\"3\"]}}}}",
                u64::MAX,
                u128::MAX
            )
        );
    }

    #[test]
    fn integers_are_read_as_text_and_as_numbers() {
        let read = |text: &str| integer(&mut serde_json::Deserializer::from_str(text)).ok();
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("\"18446744073709551615\""), Some(u64::MAX));
        assert_eq!([read("\"x\""), read("-1"), read("null")], [None; 3]);
    }

    #[test]
    fn both_layouts_say_the_same() {
        let pretty = to_string_pretty(&example()).unwrap();
        assert!(pretty.starts_with("{\n  \"height\": \"1844"), "{pretty}");
        let pretty: serde_json::Value = serde_json::from_str(&pretty).unwrap();
        let compact = to_string(&example()).unwrap();
        let compact: serde_json::Value = serde_json::from_str(&compact).unwrap();
        assert_eq!(pretty, compact);
    }
}
