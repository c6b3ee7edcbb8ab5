//! The order in which a request is admitted or refused: addresses before claims, denial before admission, and the address
//! that is looked at.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // helpers of a test

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_core::{channel::Channel, intent::policies::PolicyKind};
use gateway_modules_testkit::{contract::Bench, samples};
use serde_json::{Map, Value, json};

/// Specs of the objects of a kind that policies become.
fn specs(policies: &Value, parameters: Value, kind: &str) -> Vec<Value> {
    let module = EnvoyGatewayAdapter::new();
    let parameters: Map<String, Value> = parameters.as_object().cloned().unwrap_or_default();
    let bench = Bench::new(&module, "1.7", Channel::Standard, parameters);
    let documents = samples::with_policies(PolicyKind::Cors, policies).expect("a sample");
    let (compiled, _) = bench.compile_accepting(&documents).expect("a valid intent");
    let release = compiled.release.unwrap_or_else(|| panic!("{}", compiled.diagnostics));
    let of_kind = release.objects.iter().filter(|object| object.object.kind().kind == kind);
    of_kind.map(|object| object.object.to_value()["spec"].clone()).collect()
}

/// Envoy's own reading of the rules (`internal/xds/translator/authorization.go`): the first that matches decides.
fn decides(authorization: &Value, address: &str, claims: &Value) -> bool {
    let within = |blocks: &Value| {
        let address: std::net::IpAddr = address.parse().expect("an address");
        blocks.as_array().into_iter().flatten().any(|block| {
            let (prefix, length) = block.as_str().and_then(|text| text.split_once('/')).expect("a block");
            let (prefix, length): (std::net::IpAddr, u32) =
                (prefix.parse().expect("address"), length.parse().expect("length"));
            match (prefix, address) {
                (std::net::IpAddr::V4(prefix), std::net::IpAddr::V4(address)) => {
                    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                    u32::from(prefix) & mask == u32::from(address) & mask
                }
                _ => false,
            }
        })
    };
    let holds = |claim: &Value| {
        let found = claim["name"].as_str().expect("name").split('.').fold(claims, |value, name| &value[name]);
        let wanted = claim["values"].as_array().expect("values");
        match (claim["valueType"].as_str(), found) {
            (Some("String"), Value::String(_)) => wanted.contains(found),
            (Some("StringArray"), Value::Array(items)) => items.iter().any(|item| wanted.contains(item)),
            _ => false,
        }
    };
    for rule in authorization["rules"].as_array().into_iter().flatten() {
        let principal = &rule["principal"];
        let address = principal.get("clientCIDRs").is_none_or(within);
        let claims = principal.pointer("/jwt/claims").and_then(Value::as_array).is_none_or(|all| all.iter().all(holds));
        if address && claims {
            return rule["action"] == "Allow";
        }
    }
    authorization["defaultAction"] == "Allow"
}

fn jwt() -> Value {
    json!({ "issuer": "https://issuer.example.com", "jwks": { "configMap": { "name": "keys" } } })
}

#[test]
fn deny_wins_over_allow_and_claims_never_open_what_addresses_close() {
    let policies = json!({
        "jwt": jwt(),
        "claimsAuthorization": { "require": [
            { "claim": "team", "values": ["dev", "ops"] },
            { "claim": "realm.roles", "values": ["admin"] },
        ] },
        "ipAccess": { "allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"] },
    });
    let specs = specs(&policies, Value::Null, "SecurityPolicy");
    let authorization = &specs[0]["authorization"];
    let good = json!({ "team": "dev", "realm": { "roles": ["admin", "x"] } });
    assert_eq!(authorization["rules"][0]["action"], "Deny", "{authorization}");
    let admitted = |address: &str, claims: &Value| decides(authorization, address, claims);
    assert!(admitted("10.2.0.1", &good));
    assert!(admitted("10.2.0.1", &json!({ "team": ["qa", "ops"], "realm": { "roles": "admin" } })), "lists and texts");
    assert!(!admitted("10.1.0.1", &good), "denied, though allowed too");
    assert!(!admitted("192.0.2.1", &good), "not allowed");
    for bad in [
        json!({}),
        json!({ "team": "dev" }),
        json!({ "team": "qa", "realm": { "roles": ["admin"] } }),
        json!({ "team": "dev", "realm": { "roles": [] } }),
        json!({ "team": "dev", "realm.roles": ["admin"] }),
    ] {
        assert!(!admitted("10.2.0.1", &bad), "{bad}");
    }
}

#[test]
fn addresses_alone_have_the_right_default() {
    let one = |access: Value| {
        specs(&json!({ "ipAccess": access }), Value::Null, "SecurityPolicy")[0]["authorization"].clone()
    };
    let none = Value::Null;
    let deny = one(json!({ "deny": ["192.0.2.7/24"] }));
    assert!(!decides(&deny, "192.0.2.200", &none), "bits below the mask do not count");
    assert!(decides(&deny, "198.51.100.1", &none));
    let allow = one(json!({ "allow": ["192.0.2.0/24"] }));
    assert!(decides(&allow, "192.0.2.200", &none));
    assert!(!decides(&allow, "198.51.100.1", &none));
}

/// What a client writes into `X-Forwarded-For` counts only as far as the platform says that its own proxies wrote it.
#[test]
fn forwarded_addresses_are_trusted_only_by_parameter() {
    let policies = json!({ "ipAccess": { "deny": ["192.0.2.0/24"] } });
    assert!(
        specs(&policies, Value::Null, "ClientTrafficPolicy").is_empty(),
        "Envoy takes the connection's address then"
    );
    let found = specs(&policies, json!({ "clientAddress": { "trustedHops": 2 } }), "ClientTrafficPolicy");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["clientIPDetection"], json!({ "xForwardedFor": { "numTrustedHops": 2 } }));
    assert_eq!(found[0]["targetRefs"][0]["kind"], "Gateway");
}

/// Envoy Gateway splits these at spaces, so `scope: "read write"` would pass where `read` is asked for.
#[test]
fn claims_that_envoy_gateway_takes_apart_are_refused() {
    let module = EnvoyGatewayAdapter::new();
    let bench = Bench::new(&module, "1.7", Channel::Standard, Map::new());
    for claim in ["scope", "scp"] {
        let policies = json!({
            "jwt": jwt(),
            "claimsAuthorization": { "require": [{ "claim": claim, "values": ["read"] }] },
        });
        let documents = samples::with_policies(PolicyKind::Cors, &policies).expect("a sample");
        let (compiled, _) = bench.compile_accepting(&documents).expect("a valid intent");
        assert!(compiled.release.is_none(), "{claim}");
        assert!(compiled.diagnostics.to_string().contains("apart at spaces"), "{}", compiled.diagnostics);
    }
}
