//! The macro behind every checked string type.

/// Why a text is not a value of a checked type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct InvalidText {
    /// What was given, shortened to 80 characters.
    pub value: String,
    /// What the type accepts, in words.
    pub expected: &'static str,
}

impl InvalidText {
    pub(crate) fn new(value: &str, expected: &'static str) -> Self {
        Self { value: value.chars().take(80).collect(), expected }
    }
}

/// Defines a string newtype whose constructor and JSON Schema share one pattern and one length.
macro_rules! checked_string {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $pattern:literal, $min:literal..=$max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// What the type accepts, in words.
            pub const EXPECTED: &'static str = $expected;
            /// The pattern that a value matches, anchored (ECMA 262 and Rust syntax).
            pub const PATTERN: &'static str = $pattern;
            /// Longest value, in bytes of UTF-8.
            pub const MAX_LENGTH: usize = $max;

            /// Checks a text.
            ///
            /// # Errors
            /// The text does not match the pattern or the length.
            pub fn new(value: impl Into<String>) -> Result<Self, $crate::types::InvalidText> {
                static PATTERN: std::sync::LazyLock<Option<regex::Regex>> =
                    std::sync::LazyLock::new(|| regex::Regex::new($pattern).ok());
                let value = value.into();
                #[allow(clippy::reversed_empty_ranges, unused_comparisons)]
                let fits = ($min..=$max).contains(&value.len());
                if fits && PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(&value)) {
                    Ok(Self(value))
                } else {
                    Err($crate::types::InvalidText::new(&value, $expected))
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::types::InvalidText;
            fn try_from(value: String) -> Result<Self, Self::Error> {
                Self::new(value)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::types::InvalidText;
            fn from_str(value: &str) -> Result<Self, Self::Err> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "minLength": $min, "maxLength": $max })
            }
        }
    };
}

pub(crate) use checked_string;
