//! Parameters of this module (`gateway.parameters`): what the installation of Traefik looks like.

use std::collections::BTreeMap;

use gateway_modules_core::{intent::Exposure, types::Port};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the installation of Traefik looks like. Traefik takes all of this at its start, so nothing here is written to the
/// cluster: the release says by `requires` what the chart must be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Entry points by name. Absent: `web` (port 8000, to clients 80) and `websecure` (8443, to clients 443), as the chart
    /// makes them.
    #[serde(default = "chart_entry_points")]
    #[schemars(extend("maxProperties" = 64))]
    pub entry_points: BTreeMap<String, EntryPoint>,
    /// Whether the access log is on (`logs.access`).
    #[serde(default)]
    pub access_log: bool,
    /// Whether tracing is on (`tracing.otlp`).
    #[serde(default)]
    pub tracing: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { entry_points: chart_entry_points(), access_log: false, tracing: false }
    }
}

impl Parameters {
    /// The parameters of a plane.
    pub(crate) fn read(parameters: &Map<String, Value>) -> Result<Self, String> {
        serde_json::from_value(Value::Object(parameters.clone())).map_err(|error| error.to_string())
    }

    /// The entry point for a listener: that whose port clients use, else that whose own port it is.
    pub(crate) fn entry_point(&self, exposure: Exposure, port: u16) -> Option<(&str, &EntryPoint)> {
        let fitting = || self.entry_points.iter().filter(move |(_, entry_point)| entry_point.exposure == exposure);
        fitting()
            .find(|(_, entry_point)| entry_point.exposed_port() == port)
            .or_else(|| fitting().find(|(_, entry_point)| entry_point.port.get() == port))
            .map(|(name, entry_point)| (name.as_str(), entry_point))
    }
}

/// An entry point of Traefik (`ports.<name>` of the chart).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntryPoint {
    /// Port of the container. Listeners of the Gateway object get it, since Traefik finds the entry point by it.
    pub port: Port,
    /// Port of the Service, which clients use and listeners of the intent name. Absent: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_port: Option<Port>,
    /// What it takes.
    #[serde(default)]
    pub protocol: EntryPointProtocol,
    /// Which Service leads to it: `Public` for that of the chart, `Cluster` for one of type `ClusterIP` and no other.
    #[serde(default = "public")]
    pub exposure: Exposure,
}

impl EntryPoint {
    /// Port that clients use.
    pub(crate) fn exposed_port(&self) -> u16 {
        self.exposed_port.unwrap_or(self.port).get()
    }
}

/// What an entry point takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EntryPointProtocol {
    /// Clear text, and TLS where a listener asks for it.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// TLS is set at the entry point itself (`ports.<name>.http.tls.enabled`), so no HTTP listener may use it.
    #[serde(rename = "HTTPS")]
    Https,
}

const fn public() -> Exposure {
    Exposure::Public
}

/// What the chart makes (`values.yaml`, `ports.web` and `ports.websecure`).
fn chart_entry_points() -> BTreeMap<String, EntryPoint> {
    [("web", 8000, 80, EntryPointProtocol::Http), ("websecure", 8443, 443, EntryPointProtocol::Https)]
        .into_iter()
        .filter_map(|(name, port, exposed, protocol)| {
            let entry_point = EntryPoint {
                port: Port::new(port).ok()?,
                exposed_port: Some(Port::new(exposed).ok()?),
                protocol,
                exposure: Exposure::Public,
            };
            Some((name.to_owned(), entry_point))
        })
        .collect()
}
