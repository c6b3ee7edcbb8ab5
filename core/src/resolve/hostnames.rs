//! Host names of endpoints that name none, and the paths that a shared host gives them.

use crate::{
    intent::{Component, DataPlane, Endpoint, EndpointType, FieldRef, HostnameStyle, Visibility},
    names::{self, Name},
    types::{Hostname, HttpPath},
};

/// Where an endpoint is reached in one visibility.
pub(super) struct Reach {
    /// Hosts with the field that each comes from; empty for TCP and UDP.
    pub(super) hostnames: Vec<(Hostname, FieldRef)>,
    /// Path that a shared host puts in front.
    pub(super) prefix: Option<HttpPath>,
}

/// The reach of an endpoint. `written` are the hostnames of the intent, each with its field.
///
/// # Errors
/// The host name that the domain gives, when it is too long to be one.
pub(super) fn reach(
    plane: &DataPlane,
    visibility_name: &str,
    component: &Component,
    endpoint: &Endpoint,
    written: Vec<(Hostname, FieldRef)>,
) -> Result<Reach, (FieldRef, String)> {
    if matches!(endpoint.kind, EndpointType::Tcp | EndpointType::Udp) {
        return Ok(Reach { hostnames: Vec::new(), prefix: None });
    }
    if !written.is_empty() {
        return Ok(Reach { hostnames: written, prefix: None });
    }
    let visibility = plane
        .spec
        .visibilities
        .iter()
        .find(|(name, _)| name.as_str() == visibility_name)
        .map(|(_, visibility)| visibility);
    let source = plane.field("/spec/visibilities").child(visibility_name).child("domain");
    let domain = visibility
        .and_then(|visibility| visibility.domain.as_ref())
        .map_or_else(|| format!("{visibility_name}.{}.localhost", plane.metadata.name), ToString::to_string);
    let style = visibility.map_or(HostnameStyle::default(), |visibility: &Visibility| visibility.hostname_style);
    // gRPC and TLS have no path that could be put below a prefix, so they get a host of their own in both styles.
    let shared = style == HostnameStyle::Shared && endpoint.kind.is_http();
    let identity = [endpoint.name.as_str(), component.metadata.name.as_str(), component.namespace()];
    let host = if shared { domain } else { format!("{}.{domain}", names::injective(&identity, Name::LABEL)) };
    let host = Hostname::new(host.clone()).map_err(|_| {
        (source.clone(), format!("the host {host:?} is too long: shorten the domain to at most 189 characters"))
    })?;
    let prefix = shared
        .then(|| {
            HttpPath::new(format!("/{}/{}/{}", component.namespace(), component.metadata.name, endpoint.name)).ok()
        })
        .flatten();
    Ok(Reach { hostnames: vec![(host, source)], prefix })
}
