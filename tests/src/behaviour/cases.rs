//! One body per policy kind: what an intent says, and the requests that show it, with their boundaries.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use gateway_modules_core::intent::policies::PolicyKind;
use http::Method;
use serde_json::{Value, json};

use super::{
    protocols,
    scene::{SETTLE, Scene, Shown, expect, send},
    tokens,
};
use crate::lab::{CLIENT_ADDRESSES, certificates, request::Get};

/// A case: kind, form, and what is laid over the usual endpoint.
type Case = (PolicyKind, &'static str, fn() -> Value);

/// The cases; [`show`] has the requests of each.
pub(super) const CASES: &[Case] = &[
    (PolicyKind::HeaderModification, "set, add, remove", || {
        json!({"policies": {"headerModification": {
            "request": {"set": [{"name": "X-Tenant", "value": "shop"}], "add": [{"name": "X-Via", "value": "gateway"}], "remove": ["X-Debug"]},
            "response": {"set": [{"name": "X-Served", "value": "yes"}], "remove": ["X-Internal"]},
        }}})
    }),
    (PolicyKind::UrlRewrite, "prefix", || {
        json!({"rules": [{"name": "v1", "matches": [{"path": {"prefix": "/v1"}}]}],
            "policies": {"urlRewrite": {"path": {"replacePrefixMatch": "/v2"}}}})
    }),
    (PolicyKind::Redirect, "scheme", || json!({"policies": {"redirect": {"scheme": "https", "statusCode": 301}}})),
    (PolicyKind::DirectResponse, "body", || json!({"policies": {"directResponse": {"status": 410, "body": "gone"}}})),
    (
        PolicyKind::Mirror,
        "whole",
        || json!({"policies": {"mirror": {"backends": [{"service": "shadow", "port": 8080}]}}}),
    ),
    (
        PolicyKind::TrafficSplit,
        "1:3",
        || json!({"rules": [{"name": "all", "backends": [{"service": "api", "weight": 1}, {"service": "other", "weight": 3}]}]}),
    ),
    (PolicyKind::Cors, "one origin", || {
        json!({"policies": {"cors": {"allowOrigins": ["https://www.example.com"], "allowMethods": ["GET", "POST"],
            "allowHeaders": ["Content-Type"], "maxAge": "10m"}}})
    }),
    (PolicyKind::Compression, "gzip", || json!({"policies": {"compression": {"algorithms": ["Gzip"]}}})),
    (PolicyKind::BodySizeLimit, "1Ki", || json!({"policies": {"bodySizeLimit": {"max": "1Ki"}}})),
    (PolicyKind::Timeout, "one try", || json!({"policies": {"timeouts": {"backendRequest": "500ms"}}})),
    (PolicyKind::Retry, "503", || json!({"policies": {"retry": {"attempts": 2, "codes": [503]}}})),
    (PolicyKind::CircuitBreaking, "2 requests", || json!({"policies": {"circuitBreaking": {"maxRequests": 2}}})),
    (PolicyKind::ConnectionLimit, "2", || json!({"policies": {"connectionLimit": {"max": 2}}})),
    (
        PolicyKind::LoadBalancing,
        "round robin",
        || json!({"service": "many", "policies": {"loadBalancing": {"algorithm": {"roundRobin": {}}}}}),
    ),
    (
        PolicyKind::SessionAffinity,
        "cookie",
        || json!({"service": "many", "policies": {"sessionAffinity": {"cookie": {"name": "session"}}}}),
    ),
    (PolicyKind::RateLimitLocal, "5 in 10 s", || json!({"policies": {"rateLimit": {"requests": 5, "per": "10s"}}})),
    (
        PolicyKind::RateLimitLocal,
        "by client",
        || json!({"policies": {"rateLimit": {"requests": 5, "per": "10s", "key": {"clientIp": {}}}}}),
    ),
    (PolicyKind::BasicAuth, "users", || json!({"policies": {"basicAuth": {"credentials": {"name": "users"}}}})),
    (PolicyKind::ExternalAuthorization, "HTTP", || {
        json!({"policies": {"externalAuthorization": {"protocol": "HTTP", "service": "authorization", "port": 8080,
            "allowedHeaders": ["X-Token"], "backendHeaders": ["X-User"]}}})
    }),
    (PolicyKind::IpAccess, "allow", || json!({"policies": {"ipAccess": {"allow": ["198.51.100.10/31"]}}})),
    (PolicyKind::IpAccess, "deny", || json!({"policies": {"ipAccess": {"deny": ["198.51.100.10/31"]}}})),
    (PolicyKind::Jwt, "remote keys", || json!({"policies": {"jwt": tokens::policy("shop")}})),
    (PolicyKind::ClaimsAuthorization, "role", || {
        json!({"policies": {"jwt": tokens::policy("shop"),
            "claimsAuthorization": {"require": [{"claim": "role", "values": ["admin", "owner"]}]}}})
    }),
    (
        PolicyKind::ApiKey,
        "header",
        || json!({"policies": {"apiKey": {"location": {"header": "X-Api-Key"}, "credentials": {"name": "users"}}}}),
    ),
    (PolicyKind::BackendTls, "own authority", || {
        protocols::backend_tls(certificates::BACKEND, certificates::AUTHORITY)
    }),
    (
        PolicyKind::FaultInjection,
        "abort",
        || json!({"policies": {"faultInjection": {"abort": {"status": 503, "percent": 100}}}}),
    ),
];

/// The requests for a kind; what they have shown, for the table.
pub(super) async fn show(scene: &Scene, kind: PolicyKind, form: &str, host: &str, accepted: &[String]) -> Shown {
    match (kind, form) {
        (PolicyKind::HeaderModification, _) => headers(scene, host).await,
        (PolicyKind::UrlRewrite, _) => rewrite(scene, host).await,
        (PolicyKind::Redirect, _) => redirect(scene, host).await,
        (PolicyKind::DirectResponse, _) => direct(scene, host).await,
        (PolicyKind::Mirror, _) => mirror(scene, host).await,
        (PolicyKind::TrafficSplit, _) => split(scene, host).await,
        (PolicyKind::Cors, _) => cors(scene, host).await,
        (PolicyKind::Compression, _) => compression(scene, host).await,
        (PolicyKind::BodySizeLimit, _) => body_size(scene, host).await,
        (PolicyKind::Timeout, _) => timeout(scene, host).await,
        (PolicyKind::Retry, _) => retry(scene, host).await,
        (PolicyKind::ConnectionLimit, _) if accepted.iter().any(|name| name == "connection-limit/waits") => {
            waits(scene, host).await
        }
        (PolicyKind::CircuitBreaking | PolicyKind::ConnectionLimit, _) => in_flight(scene, host).await,
        (PolicyKind::LoadBalancing, _) => round_robin(scene, host).await,
        (PolicyKind::SessionAffinity, _) => affinity(scene, host).await,
        (PolicyKind::RateLimitLocal, "by client") => rate_by_client(scene, host).await,
        (PolicyKind::RateLimitLocal, _) => rate(scene, host).await,
        (PolicyKind::BasicAuth, _) => basic(scene, host).await,
        (PolicyKind::ExternalAuthorization, _) => external(scene, host).await,
        (PolicyKind::IpAccess, form) => addresses(scene, host, form == "allow").await,
        (PolicyKind::BackendTls, _) => protocols::backend(scene, host).await,
        (PolicyKind::Jwt, _) => tokens::verified(scene, host).await,
        (PolicyKind::ClaimsAuthorization, _) => tokens::claims(scene, host).await,
        (PolicyKind::ApiKey, _) => keys(scene, host).await,
        (PolicyKind::FaultInjection, _) => aborted(scene, host).await,
        _ => Err("declared, and the suite has no requests that would show it".to_owned()),
    }
}

async fn keys(scene: &Scene, host: &str) -> Shown {
    let right = send(&scene.get(host, "/").header("x-api-key", "wonderland")).await?;
    expect(right.status == 200, "a key of the Secret passes", &right.status)?;
    expect(right.report()["headers"]["x-api-key"].is_null(), "the backend does not get it", &right.report())?;
    let query = scene.get(host, "/?x-api-key=wonderland");
    let keys = ["wonderlanD", "alice", ""].map(|key| scene.get(host, "/").header("x-api-key", key));
    for get in keys.into_iter().chain([scene.get(host, "/"), query]) {
        let answer = send(&get).await?;
        expect(answer.status == 401 && !answer.reached_backend(), "anything else gets 401", &answer)?;
    }
    Ok("right key 200 and removed; wrong, the client's name, empty, none, in the query 401".to_owned())
}

async fn aborted(scene: &Scene, host: &str) -> Shown {
    for _ in 0..10 {
        let answer = send(&scene.get(host, "/")).await?;
        expect(answer.status == 503 && !answer.reached_backend(), "each request is aborted", &answer)?;
    }
    Ok("10 of 10 requests aborted with 503".to_owned())
}

async fn headers(scene: &Scene, host: &str) -> Shown {
    let get = scene.get(host, "/?set=X-Internal:secret").header("x-tenant", "forged").header("x-via", "client");
    let answer = send(&get.header("x-debug", "1")).await?;
    let report = answer.report();
    let seen = &report["headers"];
    expect(seen["x-tenant"] == json!(["shop"]), "set replaces what the client sent", seen)?;
    let via: Vec<&str> = seen["x-via"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    expect(via == ["client", "gateway"], "add keeps what the client sent", &via)?;
    expect(seen["x-debug"].is_null(), "removed towards the backend", seen)?;
    expect(answer.header("x-served") == Some("yes"), "set in the answer", &answer.headers)?;
    expect(answer.header("x-internal").is_none(), "removed from the answer", &answer.headers)?;
    Ok("set, add and remove in requests, set and remove in answers, values byte for byte".to_owned())
}

async fn rewrite(scene: &Scene, host: &str) -> Shown {
    for (path, expected) in [("/v1", "/v2"), ("/v1/", "/v2/"), ("/v1/a%20b?x=1", "/v2/a%20b")] {
        let answer = send(&scene.get(host, path)).await?;
        expect(answer.report()["path"] == expected, &format!("{path} becomes {expected}"), &answer.report()["path"])?;
    }
    let other = send(&scene.get(host, "/v10")).await?;
    expect(other.status == scene.unknown(), "/v10 is not under /v1", &other.status)?;
    Ok("prefix with and without rest, escapes kept, /v10 not matched".to_owned())
}

async fn redirect(scene: &Scene, host: &str) -> Shown {
    let answer = send(&scene.get(host, "/a/b?c=d")).await?;
    expect(answer.status == 301, "status 301", &answer.status)?;
    let location = answer.header("location").unwrap_or_default().to_owned();
    expect(location == format!("https://{host}/a/b?c=d"), "the same place by https", &location)?;
    Ok(format!("301 to {location}"))
}

async fn direct(scene: &Scene, host: &str) -> Shown {
    let answer = send(&scene.get(host, "/")).await?;
    expect(answer.status == 410 && &answer.body[..] == b"gone", "410 gone", &answer)?;
    Ok("410 with the body".to_owned())
}

/// A key that the backends have not counted yet, also when they have seen another run of the suite.
pub(super) fn fresh(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{name}-{now}")
}

async fn mirror(scene: &Scene, host: &str) -> Shown {
    let key = fresh("mirror");
    for _ in 0..20 {
        let answer = send(&scene.get(host, &format!("/?key={key}"))).await?;
        expect(answer.report()["backend"] == "api", "the answer is the backend's", &answer.report())?;
    }
    let start = Instant::now();
    // Copies are sent besides the requests; half a second after the last one there is time for one too many.
    while scene.count("shadow", &key).await? < 20 && start.elapsed() < SETTLE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let copies = scene.count("shadow", &key).await?;
    expect(copies == 20, "20 copies of 20 requests", &copies)?;
    Ok("20 of 20 requests copied, answers from the backend".to_owned())
}

async fn split(scene: &Scene, host: &str) -> Shown {
    let mut one = 0_u32;
    for _ in 0..200 {
        let answer = send(&scene.get(host, "/")).await?;
        expect(answer.status == 200, "status 200", &answer.status)?;
        one += u32::from(answer.report()["backend"] == "api");
    }
    // 200 draws with p = 1/4: mean 50, deviation 6.1; five deviations on each side.
    expect((20..=80).contains(&one), "a quarter of 200, within the binomial bound", &one)?;
    Ok(format!("{one} and {} of 200", 200 - one))
}

async fn cors(scene: &Scene, host: &str) -> Shown {
    const GOOD: &str = "https://www.example.com";
    let preflight = |origin: &str| {
        scene
            .get(host, "/")
            .method(Method::OPTIONS)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
    };
    let good = send(&preflight(GOOD)).await?;
    expect(good.status == 200 || good.status == 204, "the preflight succeeds", &good)?;
    expect(!good.reached_backend(), "the gateway answers the preflight", &good)?;
    expect(good.header("access-control-allow-origin") == Some(GOOD), "the origin is allowed", &good.headers)?;
    let methods = good.header("access-control-allow-methods").unwrap_or_default();
    expect(methods.contains("POST"), "the method is allowed", &good.headers)?;
    expect(good.header("access-control-max-age") == Some("600"), "for ten minutes", &good.headers)?;
    let bad = send(&preflight("https://evil.example.com")).await?;
    expect(bad.header("access-control-allow-origin").is_none(), "another origin is not allowed", &bad.headers)?;
    let plain = send(&scene.get(host, "/").header("origin", GOOD)).await?;
    let allowed = plain.status == 200 && plain.header("access-control-allow-origin") == Some(GOOD);
    expect(allowed, "a request of the origin is answered with its name", &plain)?;
    let forged = send(&scene.get(host, "/").header("origin", "https://www.example.com.evil.example")).await?;
    expect(forged.header("access-control-allow-origin").is_none(), "a longer origin is another", &forged.headers)?;
    Ok("preflight and request of the origin allowed, two others not".to_owned())
}

async fn compression(scene: &Scene, host: &str) -> Shown {
    let large = scene.get(host, "/?size=20000");
    let zipped = send(&large.clone().header("accept-encoding", "gzip")).await?;
    expect(zipped.header("content-encoding") == Some("gzip"), "gzip when it is asked for", &zipped.headers)?;
    expect(zipped.body.len() < 20_000 && zipped.body.starts_with(&[0x1f, 0x8b]), "a gzip body", &zipped.body.len())?;
    let plain = send(&large).await?;
    expect(
        plain.header("content-encoding").is_none() && plain.body.len() == 20_000,
        "plain otherwise",
        &plain.headers,
    )?;
    Ok(format!("20000 bytes as {}, plain without Accept-Encoding", zipped.body.len()))
}

async fn body_size(scene: &Scene, host: &str) -> Shown {
    let of = |size: usize| scene.get(host, "/").method(Method::POST).body(vec![b'a'; size]);
    let fits = send(&of(1024)).await?;
    expect(fits.status == 200 && fits.report()["received"] == 1024, "1024 bytes pass", &fits)?;
    let over = send(&of(1025)).await?;
    expect(over.status == 413 && !over.reached_backend(), "1025 bytes are refused with 413", &over.status)?;
    Ok("1024 bytes pass, 1025 get 413".to_owned())
}

async fn timeout(scene: &Scene, host: &str) -> Shown {
    // A busy machine adds to what a request takes, and takes nothing away: of some requests the quickest counts.
    let mut under = send(&scene.get(host, "/?delay=300")).await?;
    for _ in 0..20 {
        if under.status != 200 {
            under = send(&scene.get(host, "/?delay=300")).await?;
        }
    }
    expect(under.status == 200, "300 ms pass", &under.status)?;
    let mut took = u128::MAX;
    for _ in 0..20 {
        let over = send(&scene.get(host, "/?delay=2000")).await?;
        expect(over.status == 504, "2 s are cut off with 504", &over.status)?;
        expect(over.took.as_millis() >= 450, "not before 500 ms", &over.took)?;
        took = took.min(over.took.as_millis());
        if took < 1500 {
            break;
        }
    }
    expect((450..1500).contains(&took), "cut off after 500 ms", &took)?;
    Ok(format!("300 ms pass, 2 s get 504 after {took} ms"))
}

async fn retry(scene: &Scene, host: &str) -> Shown {
    let [mended_key, broken_key, other_key] = ["mended", "broken", "other"].map(fresh);
    let mended = send(&scene.get(host, &format!("/?fail=2&key={mended_key}"))).await?;
    expect(mended.status == 200, "the third try succeeds", &mended.status)?;
    let tries = scene.count("api", &mended_key).await?;
    expect(tries == 3, "three tries at the backend", &tries)?;
    let broken = send(&scene.get(host, &format!("/?fail=9&key={broken_key}"))).await?;
    expect(broken.status == 503, "the last answer is given", &broken.status)?;
    let tries = scene.count("api", &broken_key).await?;
    expect(tries == 3, "two retries and no more", &tries)?;
    let other = send(&scene.get(host, &format!("/?status=500&key={other_key}"))).await?;
    let tries = scene.count("api", &other_key).await?;
    expect(other.status == 500 && tries == 1, "500 is not retried", &(other.status, tries))?;
    Ok("2 retries: 3 tries counted at the backend, 500 tried once".to_owned())
}

async fn in_flight(scene: &Scene, host: &str) -> Shown {
    // Long enough for all six to come before the first is answered, also on a busy machine.
    let slow = scene.get(host, "/?delay=5000");
    let start = Instant::now();
    let answers = futures::future::join_all((0..6).map(|_| send(&slow))).await;
    let mut statuses: Vec<u16> = Vec::new();
    for answer in answers {
        statuses.push(answer?.status);
    }
    statuses.sort_unstable();
    expect(start.elapsed() < Duration::from_millis(9900), "nobody waits for a turn", &start.elapsed())?;
    expect(statuses.iter().filter(|status| **status == 200).count() == 2, "2 of 6 at once pass", &statuses)?;
    expect(statuses.iter().all(|status| [200, 429, 503].contains(status)), "the others are refused", &statuses)?;
    let after = send(&scene.get(host, "/")).await?;
    expect(after.status == 200, "free again afterwards", &after.status)?;
    Ok(format!("6 at once: {statuses:?}"))
}

/// Six requests of 1.5 s each, two at a time: no three are answered within less than that. They can take longer than in
/// pairs: an idle connection of one thread of a proxy is one of the two, and no other thread can use it.
async fn waits(scene: &Scene, host: &str) -> Shown {
    let slow = scene.get(host, "/?delay=1500");
    let answers = futures::future::join_all((0..6).map(|_| send(&slow))).await;
    let mut took = Vec::new();
    for answer in answers {
        let answer = answer?;
        expect(answer.status == 200, "all pass in the end", &answer.status)?;
        took.push(answer.took.as_millis());
    }
    took.sort_unstable();
    expect(took.windows(3).all(|three| three[2] - three[0] >= 1400), "two at a time", &took)?;
    Ok(format!("6 at once: all pass, two at a time, after {took:?} ms"))
}

/// Answers by pod.
async fn pods(get: &Get) -> Shown<Vec<u32>> {
    let mut pods: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..20 {
        let answer = send(get).await?;
        expect(answer.status == 200, "status 200", &answer.status)?;
        *pods.entry(answer.report()["pod"].to_string()).or_default() += 1;
    }
    Ok(pods.into_values().collect())
}

async fn round_robin(scene: &Scene, host: &str) -> Shown {
    // On one connection: each thread of a proxy takes turns for itself, and a connection stays on one.
    let get = scene.get(host, "/");
    let mut connection = get.connect().await.map_err(|error| error.to_string())?;
    let mut pods = Vec::new();
    for _ in 0..20 {
        let answer = connection.send(&get).await.map_err(|error| error.to_string())?;
        expect(answer.status == 200, "status 200", &answer.status)?;
        pods.push(answer.report()["pod"].to_string());
    }
    expect(pods.windows(2).all(|pair| pair[0] != pair[1]), "20 requests go to two pods in turn", &pods)?;
    Ok("20 requests on one connection go to two pods in turn".to_owned())
}

async fn affinity(scene: &Scene, host: &str) -> Shown {
    let first = send(&scene.get(host, "/")).await?;
    let cookie = first.header("set-cookie").unwrap_or_default().to_owned();
    expect(cookie.starts_with("session="), "a cookie of that name", &first.headers)?;
    let pair = cookie.split(';').next().unwrap_or_default();
    let with = pods(&scene.get(host, "/").header("cookie", pair)).await?;
    expect(with == [20], "20 requests with the cookie go to one pod", &with)?;
    let again = send(&scene.get(host, "/").header("cookie", pair)).await?;
    expect(again.report()["pod"] == first.report()["pod"], "to the pod that gave it", &again.report()["pod"])?;
    let without = pods(&scene.get(host, "/")).await?;
    expect(without.len() == 2, "without it they go to both", &without)?;
    Ok(format!("with the cookie {with:?} by pod, without {without:?}"))
}

async fn rate(scene: &Scene, host: &str) -> Shown {
    // A header does not choose another bucket.
    let gets: Vec<Get> =
        (0..8).map(|number| scene.get(host, "/").header("x-forwarded-for", &format!("192.0.2.{number}"))).collect();
    let statuses = on_a_full_bucket(&gets).await?;
    expect(statuses == [200, 200, 200, 200, 200, 429, 429, 429], "five pass, the sixth does not", &statuses)?;
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let later = [send(&scene.get(host, "/")).await?.status, send(&scene.get(host, "/")).await?.status];
    Ok(format!("{statuses:?}, after 2.2 s {later:?}"))
}

/// Statuses of requests on a bucket that was full when the first came and got nothing while they were sent: it has one more
/// after two seconds, so that requests that took longer say nothing.
async fn on_a_full_bucket(gets: &[Get]) -> Shown<Vec<u16>> {
    for _ in 0..10 {
        // The requests that waited for the route have emptied it in part.
        tokio::time::sleep(Duration::from_secs(11)).await;
        let (start, mut statuses) = (Instant::now(), Vec::new());
        for get in gets {
            statuses.push(send(get).await?.status);
        }
        if start.elapsed() < Duration::from_millis(1900) {
            return Ok(statuses);
        }
    }
    Err(format!("this machine has not sent {} requests in 1.9 s in any of ten attempts", gets.len()))
}

async fn rate_by_client(scene: &Scene, host: &str) -> Shown {
    let mut all = Vec::new();
    for address in &CLIENT_ADDRESSES[..2] {
        let get = scene.get(host, "/").from(parse(address)?).header("x-forwarded-for", "192.0.2.77");
        let statuses = on_a_full_bucket(&vec![get; 6]).await?;
        expect(statuses == [200, 200, 200, 200, 200, 429], "five of each client pass", &statuses)?;
        all.push(statuses);
    }
    Ok(format!("two clients: {all:?}"))
}

async fn basic(scene: &Scene, host: &str) -> Shown {
    // alice:wonderland, alice:wonderlanD, alicE:wonderland, and no colon at all.
    let cases = [
        (Some("Basic YWxpY2U6d29uZGVybGFuZA=="), 200),
        (Some("Basic YWxpY2U6d29uZGVybGFuRA=="), 401),
        (Some("Basic YWxpY0U6d29uZGVybGFuZA=="), 401),
        (Some("Basic YWxpY2U="), 401),
        (Some("Bearer YWxpY2U6d29uZGVybGFuZA=="), 401),
        (None, 401),
    ];
    for (credentials, expected) in cases {
        let mut get = scene.get(host, "/");
        if let Some(credentials) = credentials {
            get = get.header("authorization", credentials);
        }
        let answer = send(&get).await?;
        expect(answer.status == expected, &format!("{credentials:?} gets {expected}"), &answer.status)?;
        expect(answer.reached_backend() == (expected == 200), "only the right one reaches the backend", &answer)?;
        let challenge = answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic"));
        expect(challenge == (expected == 401), "a refusal asks for credentials", &answer.headers)?;
    }
    Ok("right password 200; wrong password, wrong user, no colon, other scheme, none 401".to_owned())
}

async fn external(scene: &Scene, host: &str) -> Shown {
    let right = send(&scene.get(host, "/").header("x-token", "right").header("x-user", "forged")).await?;
    expect(right.status == 200, "the right token passes", &right.status)?;
    let user = &right.report()["headers"]["x-user"];
    expect(*user == json!(["somebody"]), "the service's header reaches the backend, the client's does not", user)?;
    for token in [Some("wrong"), None] {
        let mut get = scene.get(host, "/");
        if let Some(token) = token {
            get = get.header("x-token", token);
        }
        let answer = send(&get).await?;
        let refused = answer.status == 401 && !answer.reached_backend();
        expect(refused, &format!("token {token:?} is refused"), &answer.status)?;
    }
    Ok("right token 200 with the service's header, wrong and none 401".to_owned())
}

async fn addresses(scene: &Scene, host: &str, allow: bool) -> Shown {
    // The block 198.51.100.10/31 holds .10 and .11.
    for (address, within) in CLIENT_ADDRESSES.iter().zip([true, true, false]) {
        let expected = if within == allow { 200 } else { 403 };
        // A header chooses no address.
        for forged in [None, Some("198.51.100.10"), Some("198.51.100.200")] {
            let mut get = scene.get(host, "/").from(parse(address)?);
            if let Some(forged) = forged {
                get = get.header("x-forwarded-for", forged).header("x-real-ip", forged);
            }
            let answer = send(&get).await?;
            expect(answer.status == expected, &format!("{address} with {forged:?} gets {expected}"), &answer.status)?;
        }
    }
    Ok("both edges of the block and one outside, forged headers change nothing".to_owned())
}

fn parse(address: &str) -> Shown<IpAddr> {
    address.parse().map_err(|_| "no address".to_owned())
}
