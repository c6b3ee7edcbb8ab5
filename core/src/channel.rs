//! Release channel of the Gateway API.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Release channel of the Gateway API CRDs; a cluster has one of the two installed.
///
/// Source: <https://gateway-api.sigs.k8s.io/concepts/versioning/#release-channels>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Channel {
    /// Kinds and fields that are generally available.
    #[default]
    Standard,
    /// Everything of the standard channel, and kinds and fields that may still change or go.
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

/// A text that names no channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no channel of the Gateway API; write `standard` or `experimental`")]
pub struct UnknownChannel(pub String);

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, UnknownChannel> {
        match text {
            "standard" => Ok(Self::Standard),
            "experimental" => Ok(Self::Experimental),
            other => Err(UnknownChannel(other.to_owned())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_agree() {
        for channel in [Channel::Standard, Channel::Experimental] {
            assert_eq!(channel.to_string().parse(), Ok(channel));
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
        }
        assert_eq!("Standard".parse::<Channel>(), Err(UnknownChannel("Standard".into())));
    }
}
