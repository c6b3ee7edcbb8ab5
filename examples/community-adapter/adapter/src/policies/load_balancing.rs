//! `BackendTrafficPolicy.spec.loadBalancer`, for load balancing and for session affinity.

use gateway_modules_core::{
    intent::policies::{HashKey, LoadBalancingAlgorithm, PolicyKind, SessionAffinity},
    module::Difference,
};
use serde_json::{Value, json};

use super::{Draft, Job};

pub(crate) fn route(job: Job<'_>, draft: &mut Draft) {
    load_balancing(job, draft);
    session_affinity(job, draft);
}

fn consistent_hash(hash: &Value) -> Value {
    json!({ "type": "ConsistentHash", "consistentHash": hash })
}

fn load_balancing(job: Job<'_>, draft: &mut Draft) {
    let kind = PolicyKind::LoadBalancing;
    let Some(policy) = job.target.policies.load_balancing().filter(|_| job.target.must_map(kind)) else { return };
    let spec = match &policy.value.algorithm {
        LoadBalancingAlgorithm::RoundRobin {} => json!({ "type": "RoundRobin" }),
        LoadBalancingAlgorithm::LeastRequest {} => json!({ "type": "LeastRequest" }),
        LoadBalancingAlgorithm::Random {} => json!({ "type": "Random" }),
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Header(name)) => {
            consistent_hash(&json!({ "type": "Headers", "headers": [{ "name": name.as_str() }] }))
        }
        // Without a ttl Envoy hashes the cookie that the client sends and sets none.
        LoadBalancingAlgorithm::ConsistentHash(HashKey::Cookie(name)) => {
            consistent_hash(&json!({ "type": "Cookie", "cookie": { "name": name.as_str() } }))
        }
        LoadBalancingAlgorithm::ConsistentHash(HashKey::ClientIp {}) => consistent_hash(&json!({ "type": "SourceIP" })),
    };
    draft.hold(kind, "loadBalancer", spec);
    draft.exact(policy.field.child("algorithm"), &["/loadBalancer"]);
}

fn session_affinity(job: Job<'_>, draft: &mut Draft) {
    let kind = PolicyKind::SessionAffinity;
    let Some(policy) = job.target.policies.session_affinity().filter(|_| job.target.must_map(kind)) else { return };
    let field = policy.field;
    if draft.spec.contains_key("loadBalancer") {
        let reason =
            "Envoy Gateway keeps a client on an endpoint by its load balancer, and loadBalancing has chosen another";
        draft.unsupported(field.clone(), reason, &["no loadBalancing"]);
        return;
    }
    let (hash, place) = match policy.value {
        SessionAffinity::Cookie { name, ttl } => {
            if ttl.is_some_and(|ttl| ttl.as_millis() == 0) {
                // To Envoy a ttl of zero is a cookie of the browser session.
                let reason = "Envoy has no cookie that lives no time";
                draft.unsupported(field.child("cookie").child("ttl"), reason, &["no ttl"]);
                return;
            }
            let ttl = ttl.map_or_else(|| "0s".to_owned(), |ttl| ttl.to_string());
            // Without a path a browser would send the cookie to the folder of the first request only.
            let cookie = json!({ "name": name.as_str(), "ttl": ttl, "attributes": { "Path": "/" } });
            (json!({ "type": "Cookie", "cookie": cookie }), "cookie")
        }
        SessionAffinity::ClientIp {} => (json!({ "type": "SourceIP" }), "clientIp"),
        SessionAffinity::Header { .. } => {
            draft.unsupported(
                field.child("header"),
                "Envoy Gateway hashes a header that the client sends, and sets none",
                &["cookie", "loadBalancing.algorithm.consistentHash.header"],
            );
            return;
        }
    };
    draft.hold(kind, "loadBalancer", consistent_hash(&hash));
    let difference = Difference {
        name: "session-affinity/rehashed".to_owned(),
        text: "the endpoint is chosen by a consistent hash: when one of N endpoints comes or goes, about one in N clients \
               moves, also clients whose endpoint still lives"
            .to_owned(),
        stricter: false,
    };
    draft.approximate(field.child(place), difference, &["/loadBalancer/consistentHash"]);
}
