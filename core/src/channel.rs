//! Release channel of the Gateway API CRDs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Release channel of the Gateway API CRDs (annotation `gateway.networking.k8s.io/channel`). Standard CRDs silently drop
/// the fields that only the experimental channel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Fields that are generally available.
    #[default]
    Standard,
    /// All fields.
    Experimental,
}

impl Channel {
    /// Name as in the annotation `gateway.networking.k8s.io/channel`: `standard` or `experimental`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Experimental => "experimental",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "standard" => Ok(Self::Standard),
            "experimental" => Ok(Self::Experimental),
            _ => Err(format!("{text:?} is not a channel: `standard` or `experimental`")),
        }
    }
}
