//! One report, as `apis/v1.ConformanceReport` of Gateway API writes it.

use std::collections::BTreeSet;

use gateway_modules_core::capability::{CapabilityName, names::gateway_api as api};
use serde::Deserialize;

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConformanceReport {
    /// `implementation.project`.
    pub project: String,
    /// `implementation.version`.
    pub version: String,
    /// `mode`: the implementation's own name of how it was set up.
    pub mode: String,
    /// `gatewayAPIVersion`.
    pub gateway_api_version: String,
    /// Whether it ran with the CRDs of the experimental channel.
    pub experimental: bool,
    /// Features that it shows: of core where all core tests of a profile passed, and those listed.
    pub supported: BTreeSet<CapabilityName>,
    /// Features that it denies: those listed in one profile as unsupported and in none as supported.
    pub unsupported: BTreeSet<CapabilityName>,
    /// Core features of profiles with failed or skipped tests: neither shown nor denied.
    pub partial: BTreeSet<CapabilityName>,
}

impl ConformanceReport {
    /// Reads a report.
    ///
    /// # Errors
    /// The text is no `ConformanceReport`, or a profile is unknown.
    pub fn read(text: &str) -> Result<Self, String> {
        let written: Written = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if written.kind != "ConformanceReport" {
            return Err(format!("its kind is {:?} and not \"ConformanceReport\"", written.kind));
        }
        let (mut supported, mut denied, mut partial) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for profile in written.profiles {
            let core = core_of(&profile.name).ok_or_else(|| format!("it has an unknown profile {:?}", profile.name))?;
            let into = if profile.core.result == "success" { &mut supported } else { &mut partial };
            into.extend(core);
            let extended = profile.extended.unwrap_or_default();
            supported.extend(extended.supported_features.into_iter().map(CapabilityName::from));
            denied.extend(extended.unsupported_features.into_iter().map(CapabilityName::from));
        }
        let unsupported = denied.difference(&supported).cloned().collect();
        let partial = partial.difference(&supported).cloned().collect();
        Ok(Self {
            project: written.implementation.project,
            version: written.implementation.version,
            mode: written.mode.unwrap_or_else(|| "default".to_owned()),
            gateway_api_version: written.gateway_api_version,
            experimental: written.gateway_api_channel == "experimental",
            supported,
            unsupported,
            partial,
        })
    }

    /// Whether it shows (`true`) or denies (`false`) a feature; `None` where it says neither, as of a profile that was not
    /// run, or a core that passed in part.
    pub fn says(&self, feature: &CapabilityName) -> Option<bool> {
        if self.supported.contains(feature) {
            Some(true)
        } else if self.unsupported.contains(feature) {
            Some(false)
        } else {
            None
        }
    }
}

/// Core features of a profile (Gateway API v1.6.1, `conformance/utils/suite/profiles.go`).
fn core_of(profile: &str) -> Option<Vec<CapabilityName>> {
    let route = match profile {
        "GATEWAY-HTTP" => api::HTTP_ROUTE,
        "GATEWAY-GRPC" => api::GRPC_ROUTE,
        "GATEWAY-TLS" => api::TLS_ROUTE,
        "GATEWAY-TCP" => api::TCP_ROUTE,
        "GATEWAY-UDP" => api::UDP_ROUTE,
        "MESH-HTTP" | "MESH-GRPC" => return Some(Vec::new()),
        _ => return None,
    };
    Some(vec![api::GATEWAY, api::REFERENCE_GRANT, route])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    kind: String,
    #[serde(rename = "gatewayAPIVersion")]
    gateway_api_version: String,
    #[serde(rename = "gatewayAPIChannel")]
    gateway_api_channel: String,
    #[serde(default)]
    mode: Option<String>,
    implementation: Implementation,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Implementation {
    project: String,
    version: String,
}

#[derive(Deserialize)]
struct Profile {
    name: String,
    core: Core,
    #[serde(default)]
    extended: Option<Extended>,
}

#[derive(Deserialize)]
struct Core {
    result: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extended {
    supported_features: Vec<String>,
    unsupported_features: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: ConformanceReport
gatewayAPIChannel: experimental
gatewayAPIVersion: v1.6.1
implementation: { project: some-gateway, version: v1.2.3, organization: some }
profiles:
- name: GATEWAY-HTTP
  core: { result: success }
  extended: { result: success, supportedFeatures: [HTTPRouteCORS], unsupportedFeatures: [GatewayPort8080, HTTPRouteRetry] }
- name: GATEWAY-GRPC
  core: { result: partial, skippedTests: [GRPCExactMethodMatching] }
  extended: { result: success, supportedFeatures: [GatewayPort8080] }
";

    #[test]
    fn a_feature_is_shown_denied_or_neither() {
        let report = ConformanceReport::read(REPORT).expect("a report");
        assert!(report.experimental && report.mode == "default" && report.version == "v1.2.3");
        assert_eq!(report.says(&api::HTTP_ROUTE), Some(true));
        assert_eq!(report.says(&api::HTTP_ROUTE_RETRY), Some(false));
        assert_eq!(report.says(&api::GATEWAY_PORT_8080), Some(true), "one profile shows it");
        assert_eq!(report.says(&api::GRPC_ROUTE), None, "partial");
        assert_eq!(report.says(&api::TCP_ROUTE), None, "not run");
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for bad in ["", "kind: ConfigMap", &REPORT.replace("GATEWAY-GRPC", "GATEWAY-CARRIER-PIGEON")] {
            assert!(ConformanceReport::read(bad).is_err());
        }
    }
}
