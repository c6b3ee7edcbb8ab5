//! A CiliumEnvoyConfig, seen from one host.

use serde_json::{Map, Value, json};

/// What a CiliumEnvoyConfig says of one host, in one document for JSON pointers:
///
/// - `route`: the first route of the virtual host, `routes`: all of them,
/// - `manager`: the HTTP connection manager, `filters`: its filters by the last part of their types, such as `Cors`,
/// - `clusters`: the clusters by name.
pub(super) fn of_host(config: &Value, host: &str) -> Result<Value, String> {
    let resources = config.pointer("/spec/resources").and_then(Value::as_array);
    let resources = resources.ok_or("the CiliumEnvoyConfig has no resources")?;
    let of_type = |name: &'static str| {
        resources.iter().filter(move |one| one["@type"].as_str().is_some_and(|of| of.ends_with(name)))
    };
    let hosts = of_type(".RouteConfiguration").flat_map(|one| one["virtualHosts"].as_array().into_iter().flatten());
    let named = |one: &&Value| one["domains"].as_array().is_some_and(|domains| domains.contains(&json!(host)));
    let routes = hosts.into_iter().find(named).map(|one| one["routes"].clone());
    let routes = routes.ok_or_else(|| format!("no virtual host has the domain {host}"))?;
    let manager = of_type(".Listener")
        .flat_map(|listener| listener["filterChains"].as_array().into_iter().flatten())
        .flat_map(|chain| chain["filters"].as_array().into_iter().flatten())
        .find(|filter| filter["typedConfig"]["@type"].as_str().is_some_and(|of| of.ends_with(".HttpConnectionManager")))
        .map(|filter| filter["typedConfig"].clone());
    let filters = manager.as_ref().and_then(|manager| manager["httpFilters"].as_array());
    let filters: Map<String, Value> = filters
        .into_iter()
        .flatten()
        .filter_map(|filter| {
            let kind = filter["typedConfig"]["@type"].as_str()?;
            Some((kind.rsplit('.').next()?.to_owned(), filter.clone()))
        })
        .collect();
    let clusters: Map<String, Value> = of_type(".Cluster")
        .map(|cluster| (cluster["name"].as_str().unwrap_or_default().to_owned(), cluster.clone()))
        .collect();
    Ok(json!({ "route": routes[0], "routes": routes, "manager": manager, "filters": filters, "clusters": clusters }))
}

/// Looks for each value at its pointer; `null` stands for nothing there, which is how Envoy's JSON writes a default.
pub(super) fn compare(seen: &Value, expected: &[(&str, Value)]) -> Result<(), String> {
    for (pointer, wanted) in expected {
        let found = seen.pointer(pointer).unwrap_or(&Value::Null);
        if found != wanted {
            return Err(format!("{pointer} is {found}, and the policy means {wanted}; the route is {}", seen["route"]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Value {
        let manager = json!({ "@type": "type.googleapis.com/envoy.x.HttpConnectionManager", "httpFilters": [
            { "name": "cors", "typedConfig": { "@type": "type.googleapis.com/envoy.y.Cors" } },
        ] });
        json!({ "spec": { "resources": [
            { "@type": "type.googleapis.com/envoy.x.Listener", "filterChains": [{ "filters": [{ "typedConfig": manager }] }] },
            { "@type": "type.googleapis.com/envoy.x.RouteConfiguration", "virtualHosts": [
                { "domains": ["other.example.com"], "routes": [{ "route": { "cluster": "other" } }] },
                { "domains": ["a.example.com", "a.example.com:*"], "routes": [{ "route": { "timeout": "10s" } }] },
            ] },
            { "@type": "type.googleapis.com/envoy.x.Cluster", "name": "shop:a:80" },
        ] } })
    }

    #[test]
    fn a_host_has_its_own_routes() {
        let seen = of_host(&config(), "a.example.com").expect("the host");
        let at = |pointer: &'static str, value: Value| compare(&seen, &[(pointer, value)]);
        assert_eq!(at("/route/route/timeout", json!("10s")), Ok(()));
        assert_eq!(at("/filters/Cors/name", json!("cors")), Ok(()));
        assert_eq!(at("/clusters/shop:a:80/name", json!("shop:a:80")), Ok(()));
        assert_eq!(at("/route/redirect", Value::Null), Ok(()));
        assert!(at("/route/route/timeout", json!("11s")).is_err_and(|error| error.contains("10s")));
        assert!(at("/route/route/timeout", Value::Null).is_err(), "there is one");
        assert!(of_host(&config(), "b.example.com").is_err());
    }
}
