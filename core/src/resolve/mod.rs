//! Planes and visibilities become Gateways; hosts, names and effective policies are settled. Vendor-free.

mod topology;

pub use topology::{
    BackendTopology, Binding, DataPlaneTopology, Effective, EffectivePolicies, GatewayTopology, ImpliedRewrite, Layer,
    Overridden, Provenance, RouteTopology, RuleTopology,
};
