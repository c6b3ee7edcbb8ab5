//! Checked numbers.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a number is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is not {expected}")]
pub struct InvalidNumber {
    value: u64,
    expected: &'static str,
}

macro_rules! checked_number {
    ($(#[$meta:meta])* $name:ident($inner:ty), $expected:literal, $min:literal..=$max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($inner);

        impl $name {
            /// Checks a number.
            ///
            /// # Errors
            /// The number is out of range.
            pub fn new(value: u64) -> Result<Self, InvalidNumber> {
                <$inner>::try_from(value)
                    .ok()
                    .filter(|number| ($min..=$max).contains(number))
                    .map(Self)
                    .ok_or(InvalidNumber { value, expected: $expected })
            }

            /// The number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = InvalidNumber;
            fn try_from(value: u64) -> Result<Self, InvalidNumber> {
                Self::new(value)
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                value.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "integer", "minimum": $min, "maximum": $max })
            }
        }
    };
}

checked_number!(
    /// A TCP or UDP port.
    Port(u16),
    "a port, 1 to 65535",
    1..=65535
);
checked_number!(
    /// A whole percentage, 0 to 100.
    Percent(u8),
    "a percentage, 0 to 100",
    0..=100
);
checked_number!(
    /// An HTTP status code.
    StatusCode(u16),
    "an HTTP status code, 200 to 599",
    200..=599
);
checked_number!(
    /// Weight of a backend among its siblings; 0 sends it nothing (Gateway API `BackendRef.weight`).
    Weight(u32),
    "a weight, 0 to 1000000",
    0..=1_000_000
);

impl Default for Percent {
    /// All requests.
    fn default() -> Self {
        Self(100)
    }
}

impl Default for Weight {
    /// One, as in Gateway API.
    fn default() -> Self {
        Self(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold() {
        assert!(Port::new(0).is_err() && Port::new(65_536).is_err() && Port::new(443).is_ok());
        assert!(Percent::new(101).is_err() && StatusCode::new(199).is_err());
        assert!(serde_json::from_str::<Port>("70000").is_err());
    }
}
