//! What the users write: `DataPlane` and `Component` (`gatewaymodules.dev/v1alpha1`).
//!
//! The types are lenient (an unknown field is ignored), so that one stored object with a newer field never blocks the
//! others; the file loader is strict.

pub mod check;
pub mod codes;
mod component;
pub mod crd;
mod data_plane;
mod document;
pub mod load;
pub mod policies;
pub mod schema;
pub mod status;

pub use component::{
    Backend, ComponentSpec, DataPlanePicker, Endpoint, EndpointOverride, EndpointType, GrpcMethodMatch, HeaderMatch,
    Match, PathMatch, PlaneOverride, QueryParamMatch, Rule, Target, ValueMatch,
};
pub use data_plane::{
    Address, ClusterReference, DataPlaneSpec, Drift, Exposure, GatewayReference, GatewaySelection, HostnameStyle,
    Install, Listener, ListenerProtocol, ListenerTls, PlanePolicies, Probe, ReferenceAllowance, SecretReference,
    TlsMode, Visibility,
};
pub(crate) use document::covers;
pub use document::{Component, DataPlane, Document, DocumentId, FieldRef, Intent, Metadata, SourceMap};

/// API group of the intent types.
pub const GROUP: &str = "gatewaymodules.dev";
/// API version of the intent types.
pub const VERSION: &str = "v1alpha1";
