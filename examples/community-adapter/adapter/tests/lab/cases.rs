//! What only this gateway has, or has together: what an intent says, and the requests that show it, with their boundaries. What
//! every gateway is asked is the test kit's.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use gateway_modules_testkit::{
    behaviour::{self, Answer, Line, Options},
    lab::{CLIENT_ADDRESSES, request::Get},
};
use serde_json::{Value, json};

use crate::scene::{Scene, Shown, expect, send};

/// A case.
pub struct Case {
    name: &'static str,
    /// What it shows.
    capability: &'static str,
    /// The path that is served.
    path: &'static str,
    /// What is laid over the usual endpoint.
    endpoint: fn() -> Value,
    /// The requests at a host; what they have shown.
    show: Show,
}

/// Requests at a host of a scene; what they have shown.
type Show = for<'a> fn(&'a Scene, &'a str) -> Pin<Box<dyn Future<Output = Shown> + Send + 'a>>;

pub const CASES: &[Case] = &[
    Case {
        name: "jwt, claims and addresses",
        capability: "policy/claims-authorization/nested",
        path: "/",
        endpoint: || {
            json!({"policies": {
                "jwt": {"issuer": "https://issuer.example.com", "audiences": ["shop"], "jwks": {"configMap": {"name": "keys"}},
                    "claimsToHeaders": [{"claim": "sub", "header": "x-user"}]},
                "claimsAuthorization": {"require": [
                    {"claim": "team", "values": ["dev", "ops"]},
                    {"claim": "realm.roles", "values": ["admin"]},
                ]},
                "ipAccess": {"allow": ["198.51.100.0/24"], "deny": ["198.51.100.200/32"]},
            }})
        },
        show: |scene, host| Box::pin(tokens(scene, host)),
    },
    Case {
        name: "rate-limit-local",
        capability: "policy/rate-limit-local",
        path: "/",
        endpoint: || json!({"policies": {"rateLimit": {"requests": 5, "per": "1m"}}}),
        show: |scene, host| Box::pin(rate(scene, host)),
    },
    Case {
        name: "rate-limit-local by client",
        capability: "policy/rate-limit-local/key/client-ip",
        path: "/",
        endpoint: || json!({"policies": {"rateLimit": {"requests": 3, "per": "1h", "key": {"clientIp": {}}}}}),
        show: |scene, host| Box::pin(rate_by_client(scene, host)),
    },
    Case {
        name: "rate-limit-local by header",
        capability: "policy/rate-limit-local/key/header",
        path: "/",
        endpoint: || json!({"policies": {"rateLimit": {"requests": 3, "per": "1h", "key": {"header": "X-Tenant"}}}}),
        show: |scene, host| Box::pin(rate_by_header(scene, host)),
    },
    Case {
        name: "direct-response",
        capability: "policy/direct-response/content-type",
        path: "/",
        endpoint: || json!({"policies": {"directResponse": {"status": 410, "body": "50% gone", "contentType": "text/html; a=\"%x\""}}}),
        show: |scene, host| Box::pin(direct(scene, host)),
    },
    Case {
        name: "url-rewrite by expression",
        capability: "policy/url-rewrite/regex",
        path: "/v1/a",
        endpoint: || {
            json!({"rules": [{"name": "v1", "matches": [{"path": {"prefix": "/v1"}}]}],
            "policies": {"urlRewrite": {"path": {"regex": {"pattern": "^/v1/([a-z]+)$", "substitution": "/two/\\1"}}}}})
        },
        show: |scene, host| Box::pin(rewrite(scene, host)),
    },
];

/// The Service of each visibility is of the type that keeps it in its place.
const EXPOSURE: (&str, &str) = ("exposure", "gateway/exposure/cluster");

/// Names of the lines of a whole run, in their order.
pub fn names() -> impl Iterator<Item = String> {
    CASES.iter().map(|case| case.name).chain([EXPOSURE.0]).map(own)
}

/// The suite's cases have names of the same kinds.
fn own(name: &str) -> String {
    format!("own case, {name}")
}

fn line(name: &str, capability: &str, shown: Shown, start: Instant) -> Line {
    Line {
        name: own(name),
        capability: Some(capability.to_owned()),
        declared: true,
        answer: shown.map_or_else(Answer::Failed, Answer::Shown),
        answered: None,
        took: start.elapsed(),
    }
}

/// The cases that are wanted, each told when it is there. Their places come after those of the suite.
pub async fn run(scene: &mut Scene, options: &Options<'_>) -> Shown<Vec<Line>> {
    let mut lines = Vec::new();
    let keys = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keys", "namespace": "shop"},
        "data": {"jwks": include_str!("jwks.json")}});
    scene.manifest(keys).await?;
    let first = behaviour::names().len();
    for (index, case) in CASES.iter().enumerate() {
        if !options.wants(first + index, &own(case.name)) {
            continue;
        }
        let start = Instant::now();
        let host = format!("case{index}.lab.example.com");
        let mut endpoint = (case.endpoint)();
        endpoint["hostnames"] = json!([host]);
        let shown = match scene.apply(&host, case.path, &endpoint).await {
            Ok(accepted) if accepted.is_empty() => (case.show)(scene, &host).await,
            Ok(accepted) => {
                let accepted: Vec<String> = accepted.into_iter().collect();
                (case.show)(scene, &host).await.map(|seen| format!("{seen} (accepted: {})", accepted.join(", ")))
            }
            Err(error) => Err(error),
        };
        lines.push(line(case.name, case.capability, shown, start));
        (options.progress)(&lines[lines.len() - 1]);
    }
    if lines.is_empty() {
        return Ok(lines);
    }
    let start = Instant::now();
    let types = [scene.service_type("external").await, scene.service_type("internal").await];
    let right = types == [Ok("LoadBalancer".to_owned()), Ok("ClusterIP".to_owned())];
    let exposed = format!("Services outside and inside: {types:?}");
    lines.push(line(EXPOSURE.0, EXPOSURE.1, if right { Ok(exposed) } else { Err(exposed) }, start));
    scene.clear().await?;
    Ok(lines)
}

/// From the first client that is allowed and from one that is denied, with every token.
async fn tokens(scene: &Scene, host: &str) -> Shown {
    let [allowed_from, _, denied_from] = CLIENT_ADDRESSES;
    let get = || scene.get(host, "/");
    let missing = send(&get()?.from(allowed_from)).await?;
    expect(missing.status == 401 && !missing.reached_backend(), "no token gets 401", &missing)?;
    let mut count = 0;
    for line in include_str!("tokens.csv").lines().skip(1) {
        let [status, what, token] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("no row: {line}"));
        };
        let status: u16 = status.parse().map_err(|_| "no status")?;
        let bearer = format!("Bearer {token}");
        let get = get()?.header("authorization", &bearer).header("x-user", "forged");
        let allowed = send(&get.clone().from(allowed_from)).await?;
        expect(allowed.status == status, &format!("{what} gets {status}"), &allowed)?;
        if status == 200 {
            let seen = &allowed.report()["headers"];
            expect(seen["authorization"].is_null(), "the token does not reach the backend", seen)?;
            expect(seen["x-user"] == json!(["alice"]), "the claim does, and not what the client says", seen)?;
        } else {
            expect(!allowed.reached_backend(), "it does not reach the backend", &allowed)?;
        }
        // Denied is denied, whatever the token, and whatever X-Forwarded-For says.
        let denied = send(&get.header("x-forwarded-for", &allowed_from.to_string()).from(denied_from)).await?;
        let refused = if status == 401 { 401 } else { 403 };
        expect(denied.status == refused, &format!("{what} from a denied address gets {refused}"), &denied)?;
        count += 1;
    }
    let token = include_str!("tokens.csv").lines().nth(1).and_then(|line| line.rsplit(',').next()).unwrap_or_default();
    let query = send(&scene.get(host, &format!("/?access_token={token}"))?.from(allowed_from)).await?;
    expect(query.status == 401, "a token in the query does not count", &query.status)?;
    Ok(format!("{count} tokens from an allowed and a denied address, none, and one in the query"))
}

/// Statuses of requests one after another.
async fn statuses(get: &Get, times: usize) -> Shown<Vec<u16>> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(send(get).await?.status);
    }
    Ok(statuses)
}

async fn rate(scene: &Scene, host: &str) -> Shown {
    // The bucket is full again: the requests that waited for the route have emptied it in part.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let seen = statuses(&scene.get(host, "/")?, 7).await?;
    expect(seen == [200, 200, 200, 200, 200, 429, 429], "five pass, the sixth does not", &seen)?;
    Ok(format!("{seen:?}"))
}

async fn rate_by_client(scene: &Scene, host: &str) -> Shown {
    let mut all = Vec::new();
    for client in CLIENT_ADDRESSES.into_iter().skip(1) {
        // A header chooses no bucket.
        let seen = statuses(&scene.get(host, "/")?.from(client).header("x-forwarded-for", "192.0.2.77"), 4).await?;
        expect(seen == [200, 200, 200, 429], "three of each client pass", &seen)?;
        all.push(seen);
    }
    Ok(format!("two clients: {all:?}"))
}

async fn rate_by_header(scene: &Scene, host: &str) -> Shown {
    for tenant in ["one", "two"] {
        let seen = statuses(&scene.get(host, "/")?.header("x-tenant", tenant), 4).await?;
        expect(seen == [200, 200, 200, 429], "three of each value pass", &seen)?;
    }
    // The requests that waited for the route had no header, and took from the bucket of those.
    let seen = statuses(&scene.get(host, "/")?, 4).await?;
    expect(seen.last() == Some(&429), "without the header there is a bucket too", &seen)?;
    Ok(format!("3 of each of two values, without the header {seen:?}"))
}

async fn direct(scene: &Scene, host: &str) -> Shown {
    let answer = send(&scene.get(host, "/")?).await?;
    expect(answer.status == 410 && &answer.body[..] == b"50% gone", "status and body", &answer)?;
    expect(
        answer.header("content-type") == Some("text/html; a=\"%x\""),
        "the media type, byte for byte",
        &answer.headers,
    )?;
    Ok("status, body and media type, percent signs as written".to_owned())
}

async fn rewrite(scene: &Scene, host: &str) -> Shown {
    for (path, expected) in [("/v1/abc", "/two/abc"), ("/v1/abc?x=1", "/two/abc"), ("/v1/ABC", "/v1/ABC")] {
        let answer = send(&scene.get(host, path)?).await?;
        expect(answer.report()["path"] == expected, &format!("{path} becomes {expected}"), &answer.report()["path"])?;
    }
    Ok("what the expression finds is replaced, with a group; what it does not stays".to_owned())
}
