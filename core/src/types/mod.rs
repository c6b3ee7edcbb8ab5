//! Values that are checked where they are made: names, hosts, ports, durations, paths, headers.
//!
//! Each string type carries one pattern, used by its constructor and by its JSON Schema, so the two cannot differ.

mod duration;
mod macros;
mod numbers;
mod quantity;
mod server;
mod strings;

pub use duration::{Duration, InvalidDuration};
pub use macros::InvalidText;
pub use numbers::{InvalidNumber, Percent, Port, StatusCode, Weight};
pub use quantity::{ByteSize, InvalidByteSize};
pub use server::UrlServer;
pub use strings::{
    ClaimPath, DnsLabel, DnsSubdomain, HeaderName, HeaderValue, Hostname, HttpMethod, HttpPath, HttpsUrl, LabelKey,
    LabelValue, RegularExpression, Text, Token,
};
