//! What Cilium does that the adapter rests on, shown with objects that are written by hand and that the pipeline never writes.
//!
//! A line that fails here says that Cilium has changed: the adapter may be stricter or laxer than it has to be.

use gateway_modules_core::module::ClosedBackends;
use serde_json::{Value, json};

use super::{
    envoy,
    stage::{COMPONENTS, GATEWAY_API, GATEWAYS, NEVER, Stage},
};
use crate::control_plane::pki::Authority;

/// The Service of the routes here.
const SERVICE: &str = "here";
const CLUSTER: &str = "shop:here:8080";
const PORT: u64 = 8080;
const HOST: &str = "fact.policies.example.com";
const ROUTE: &str = "fact";
const POLICY: &str = "fact";

/// One of them: name, and whether it needs the experimental channel.
pub(super) const ALL: &[(&str, bool)] = &[
    (EXTENSION, false),
    (MISSING, false),
    (NAMED, false),
    (SHARE, false),
    (UNACKNOWLEDGED, false),
    (SYSTEM, false),
    (TRIES, true),
    (AUTHORIZATION, true),
];

const EXTENSION: &str = "a filter ExtensionRef to something that does not exist";
const MISSING: &str = "a backend that does not exist";
const NAMED: &str = "a backend of weight 0 beside one that does not exist";
const SHARE: &str = "two backends of which one does not exist";
const UNACKNOWLEDGED: &str = "a BackendTLSPolicy whose Service no route names";
const SYSTEM: &str = "a BackendTLSPolicy that trusts the system's authorities";
const TRIES: &str = "retries with a timeout of one try";
const AUTHORIZATION: &str = "external authorization by a Service that does not exist";

/// Looks at one on the stage of a Gateway.
pub(super) async fn look(stage: &Stage, gateway: &str, name: &str) -> Result<&'static str, String> {
    stage.service(COMPONENTS, SERVICE, PORT).await?;
    let here = json!([{"name": SERVICE, "port": PORT}]);
    let scene = Scene { stage, gateway };
    let open = ("/route/route/cluster", json!(CLUSTER));
    match name {
        EXTENSION => {
            let missing = json!({"group": "example.com", "kind": "Nothing", "name": "nothing"});
            let filters = json!([{"type": "ExtensionRef", "extensionRef": missing}]);
            let rule = json!({"backendRefs": here, "filters": filters});
            scene.route(rule, "True", &[open, ("/route/typedPerFilterConfig", Value::Null)]).await?;
            Ok("Accepted, ResolvedRefs, and open: nothing that protects may stand there")
        }
        MISSING => {
            let rule = json!({"backendRefs": [{"name": "nowhere", "port": PORT}]});
            let closed = [("/route/directResponse/status", json!(500)), ("/route/route", Value::Null)];
            scene.route(rule, "False", &closed).await?;
            Ok("ResolvedRefs=False, and answered with 500: the closed form is closed")
        }
        NAMED => {
            let rule = json!({"backendRefs": [
                {"name": SERVICE, "port": PORT, "weight": 0}, {"name": "nowhere", "port": PORT, "weight": 1}]});
            scene.route(rule, "False", &[open, ("/route/route/weightedClusters", Value::Null)]).await?;
            if stage.module.closed_backends() == ClosedBackends::WithoutWeight {
                return Err(
                    "the closed form of this module names its backends, and Cilium opens such a route".to_owned()
                );
            }
            Ok("everything goes to the backend of weight 0: a closed form must not name its backends")
        }
        SHARE => {
            let rule = json!({"backendRefs": [
                {"name": SERVICE, "port": PORT, "weight": 1}, {"name": "nowhere", "port": PORT, "weight": 9}]});
            scene.route(rule, "False", &[open]).await?;
            Ok(
                "ResolvedRefs=False, and the one that exists gets everything; Gateway API asks for 500 for the share of the other",
            )
        }
        UNACKNOWLEDGED => {
            let authority = json!([{"group": "", "kind": "ConfigMap", "name": "authority"}]);
            scene.authority().await?;
            scene.policy(json!({"hostname": "backend.example.com", "caCertificateRefs": authority})).await?;
            let closed = json!({"backendRefs": [{"name": "nowhere", "port": PORT}]});
            scene.route(closed, "False", &[("/route/directResponse/status", json!(500))]).await?;
            tokio::time::sleep(NEVER).await;
            if scene.acknowledged().await.is_ok() {
                return Err("it is acknowledged while its route is closed: `backendTls` could be enforced".to_owned());
            }
            let socket = format!("/clusters/{CLUSTER}/transportSocket/typedConfig");
            let name = json!([{"sanType": "DNS", "matcher": {"exact": "backend.example.com"}}]);
            let checked = format!("{socket}/commonTlsContext/combinedValidationContext/defaultValidationContext");
            let (sni, checked) = (format!("{socket}/sni"), format!("{checked}/matchTypedSubjectAltNames"));
            let encrypted = [open, (&*sni, json!("backend.example.com")), (&*checked, name)];
            scene.route(json!({"backendRefs": here}), "True", &encrypted).await?;
            stage.until(async || scene.acknowledged().await).await?;
            Ok(
                "no status while the route is closed, so that it would never be opened; Accepted once a route names the Service",
            )
        }
        SYSTEM => {
            scene.policy(json!({"hostname": "backend.example.com", "wellKnownCACertificates": "System"})).await?;
            let clear_text = format!("/clusters/{CLUSTER}/transportSocket");
            scene.route(json!({"backendRefs": here}), "True", &[open, (&*clear_text, Value::Null)]).await?;
            stage.until(async || scene.acknowledged().await).await?;
            // The translation is written after the status.
            tokio::time::sleep(NEVER).await;
            scene.translated(&[(&*clear_text, Value::Null)]).await?;
            Ok("Accepted, and the backend is spoken to in clear text")
        }
        TRIES => {
            let retry = json!({"attempts": 3, "codes": [503]});
            let rule = json!({"backendRefs": here, "retry": retry, "timeouts": {"backendRequest": "2s"}});
            let total = [
                open,
                ("/route/route/timeout", json!("2s")),
                ("/route/route/retryPolicy/numRetries", json!(3)),
                ("/route/route/retryPolicy/perTryTimeout", Value::Null),
            ];
            scene.route(rule, "True", &total).await?;
            Ok("the time is that of all tries together, so that a try that takes it all is the last")
        }
        AUTHORIZATION => {
            let service = json!({"name": "nobody", "port": 9000});
            let filter = json!({"protocol": "HTTP", "backendRef": service, "http": {"allowedHeaders": ["x-token"]}});
            let filters = json!([{"type": "ExternalAuth", "externalAuth": filter}]);
            let closed = [("/route/directResponse/status", json!(500)), ("/route/route", Value::Null)];
            scene.route(json!({"backendRefs": here, "filters": filters}), "False", &closed).await?;
            Ok("answered with 500 since 1.20.2; 1.20.0 and 1.20.1 leave the filter out (decision 0161)")
        }
        other => Err(format!("nobody knows {other:?}")),
    }
}

struct Scene<'a> {
    stage: &'a Stage,
    gateway: &'a str,
}

impl Scene<'_> {
    /// Writes the route with one rule, and waits for its conditions and its translation.
    async fn route(&self, rule: Value, resolved: &str, expected: &[(&str, Value)]) -> Result<(), String> {
        let parent = json!({"name": self.gateway, "namespace": GATEWAYS});
        let spec = json!({"parentRefs": [parent], "hostnames": [HOST], "rules": [rule]});
        let metadata = json!({"name": ROUTE, "namespace": COMPONENTS});
        let route = json!({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": metadata, "spec": spec});
        self.stage.put(route).await?;
        let says = async |condition, status| {
            self.stage.condition("HTTPRoute", Some(COMPONENTS), ROUTE, condition, status).await
        };
        self.stage.until(async || says("Accepted", "True").await).await?;
        self.stage.until(async || says("ResolvedRefs", resolved).await).await?;
        self.translated(expected).await
    }

    async fn translated(&self, expected: &[(&str, Value)]) -> Result<(), String> {
        let compared = async || {
            let config = self.stage.envoy_config(self.gateway).await?;
            envoy::compare(&envoy::of_host(&config, HOST)?, expected)
        };
        self.stage.until(compared).await
    }

    /// Writes a policy for the Service.
    async fn policy(&self, validation: Value) -> Result<(), String> {
        let target = json!([{"group": "", "kind": "Service", "name": SERVICE}]);
        let metadata = json!({"name": POLICY, "namespace": COMPONENTS});
        let spec = json!({"targetRefs": target, "validation": validation});
        let policy = json!({"apiVersion": GATEWAY_API, "kind": "BackendTLSPolicy", "metadata": metadata, "spec": spec});
        self.stage.put(policy).await
    }

    async fn acknowledged(&self) -> Result<(), String> {
        self.stage.condition("BackendTLSPolicy", Some(COMPONENTS), POLICY, "Accepted", "True").await
    }

    /// A ConfigMap with the certificate of an authority.
    async fn authority(&self) -> Result<(), String> {
        let authority = Authority::new().map_err(|error| error.to_string())?;
        let metadata = json!({"name": "authority", "namespace": COMPONENTS});
        let data = json!({"ca.crt": authority.certificate()});
        self.stage.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})).await
    }
}

/// Takes away what one has written.
pub(super) async fn clear(stage: &Stage) -> Result<(), String> {
    for kind in ["HTTPRoute", "BackendTLSPolicy"] {
        // Not every one writes both.
        if stage.get(GATEWAY_API, kind, Some(COMPONENTS), ROUTE).await.is_ok() {
            stage.delete(GATEWAY_API, kind, COMPONENTS, ROUTE).await?;
        }
    }
    Ok(())
}
