//! Kinds of Gateway API that core emits, and the version that is emitted for each.

use super::CompileInput;
use crate::object::{GroupKind, GroupVersionKind};

pub(super) const GROUP: &str = "gateway.networking.k8s.io";
pub(super) const GATEWAY: GroupVersionKind = GroupVersionKind::of(GROUP, "v1", "Gateway");
pub(super) const HTTP_ROUTE: GroupVersionKind = GroupVersionKind::of(GROUP, "v1", "HTTPRoute");
pub(super) const BACKEND_TLS_POLICY: GroupVersionKind = GroupVersionKind::of(GROUP, "v1", "BackendTLSPolicy");
pub(super) const REFERENCE_GRANT: GroupVersionKind = GroupVersionKind::of(GROUP, "v1", "ReferenceGrant");
pub(super) const SERVICE: GroupVersionKind = GroupVersionKind::of("", "v1", "Service");

/// Versions of a kind that this core can write, newest first. The fields that core emits are the same in all of them.
fn written_versions(kind: &str) -> &'static [&'static str] {
    match kind {
        "TCPRoute" | "UDPRoute" => &["v1", "v1alpha2"],
        "TLSRoute" => &["v1", "v1alpha3", "v1alpha2"],
        "BackendTLSPolicy" => &["v1", "v1alpha3"],
        "ReferenceGrant" => &["v1", "v1beta1"],
        _ => &["v1"],
    }
}

/// The newest version of a Gateway API kind that the cluster serves and core can write.
///
/// # Errors
/// None: the reason, for a refusal.
pub(super) fn served_version(input: &CompileInput<'_>, kind: &'static str) -> Result<GroupVersionKind, String> {
    let written = written_versions(kind);
    let Some(served) = &input.served else { return Ok(GroupVersionKind::of(GROUP, written[0], kind)) };
    let found = served.get(&GroupKind { group: GROUP.to_owned(), kind: kind.to_owned() });
    written
        .iter()
        .find(|version| found.is_some_and(|versions| versions.contains(**version)))
        .map(|version| GroupVersionKind::of(GROUP, version, kind))
        .ok_or_else(|| match found {
            Some(versions) => format!(
                "the cluster serves {kind} only as {}, and this version writes {}",
                versions.iter().cloned().collect::<Vec<_>>().join(", "),
                written.join(", ")
            ),
            None => format!("the cluster does not serve {kind}: install the Gateway API CRDs"),
        })
}
