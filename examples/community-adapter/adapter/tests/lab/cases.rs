//! What an intent says, and the requests that show it, with their boundaries.

use std::{collections::BTreeMap, time::Duration};

use gateway_modules_testkit::lab::{CLIENT_ADDRESSES, request::Get};
use http::Method;
use serde_json::{Value, json};

use crate::scene::{Scene, Shown, expect, send};

/// `alice:wonderland`, of the lab's Secret `users`.
const ALICE: &str = "Basic YWxpY2U6d29uZGVybGFuZA==";

/// A case: name, path that is served, what is laid over the usual endpoint.
type Case = (&'static str, &'static str, fn() -> Value);

const CASES: &[Case] = &[
    ("jwt, claims and addresses", "/", || {
        json!({"policies": {
            "jwt": {"issuer": "https://issuer.example.com", "audiences": ["shop"], "jwks": {"configMap": {"name": "keys"}},
                "claimsToHeaders": [{"claim": "sub", "header": "x-user"}]},
            "claimsAuthorization": {"require": [
                {"claim": "team", "values": ["dev", "ops"]},
                {"claim": "realm.roles", "values": ["admin"]},
            ]},
            "ipAccess": {"allow": ["198.51.100.0/24"], "deny": ["198.51.100.200/32"]},
        }})
    }),
    ("ip-access", "/", || json!({"policies": {"ipAccess": {"deny": ["198.51.100.10/31"]}}})),
    ("basic-auth", "/", || json!({"policies": {"basicAuth": {"credentials": {"name": "users"}}}})),
    (
        "api-key",
        "/",
        || json!({"policies": {"apiKey": {"location": {"header": "X-Api-Key"}, "credentials": {"name": "users"}}}}),
    ),
    ("external-authorization", "/", || {
        json!({"policies": {"externalAuthorization": {"protocol": "HTTP", "service": "authorization", "port": 8080,
            "allowedHeaders": ["X-Token"], "backendHeaders": ["X-User"]}}})
    }),
    ("rate-limit-local", "/", || json!({"policies": {"rateLimit": {"requests": 5, "per": "1m"}}})),
    (
        "rate-limit-local by client",
        "/",
        || json!({"policies": {"rateLimit": {"requests": 3, "per": "1h", "key": {"clientIp": {}}}}}),
    ),
    (
        "rate-limit-local by header",
        "/",
        || json!({"policies": {"rateLimit": {"requests": 3, "per": "1h", "key": {"header": "X-Tenant"}}}}),
    ),
    ("retry", "/", || json!({"policies": {"retry": {"attempts": 2, "codes": [503]}}})),
    ("timeout", "/", || json!({"policies": {"timeouts": {"backendRequest": "500ms"}}})),
    ("circuit-breaking", "/", || json!({"policies": {"circuitBreaking": {"maxRequests": 2}}})),
    ("body-size-limit", "/", || json!({"policies": {"bodySizeLimit": {"max": "1Ki"}}})),
    ("compression", "/", || json!({"policies": {"compression": {"algorithms": ["Gzip"], "minSize": "1Ki"}}})),
    (
        "direct-response",
        "/",
        || json!({"policies": {"directResponse": {"status": 410, "body": "50% gone", "contentType": "text/html; a=\"%x\""}}}),
    ),
    ("url-rewrite by expression", "/v1/a", || {
        json!({"rules": [{"name": "v1", "matches": [{"path": {"prefix": "/v1"}}]}],
            "policies": {"urlRewrite": {"path": {"regex": {"pattern": "^/v1/([a-z]+)$", "substitution": "/two/\\1"}}}}})
    }),
    (
        "session-affinity",
        "/",
        || json!({"service": "many", "policies": {"sessionAffinity": {"cookie": {"name": "session"}}}}),
    ),
    (
        "load-balancing",
        "/",
        || json!({"service": "many", "policies": {"loadBalancing": {"algorithm": {"roundRobin": {}}}}}),
    ),
    ("fault-injection", "/", || json!({"policies": {"faultInjection": {"abort": {"status": 418, "percent": 100}}}})),
    ("cors and header modification", "/", || {
        json!({"policies": {"cors": {"allowOrigins": ["https://www.example.com"], "allowMethods": ["POST"]},
            "headerModification": {"request": {"set": [{"name": "X-Tenant", "value": "shop"}], "remove": ["X-Debug"]}}}})
    }),
];

pub async fn run(scene: &mut Scene, only: &str) -> Vec<(String, Shown)> {
    let mut rows = Vec::new();
    let keys = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keys", "namespace": "shop"},
        "data": {"jwks": include_str!("jwks.json")}});
    if let Err(error) = scene.manifest(keys).await {
        return vec![("keys".to_owned(), Err(error))];
    }
    for (index, (name, path, endpoint)) in CASES.iter().enumerate().filter(|(_, (name, ..))| name.contains(only)) {
        let host = format!("case{index}.lab.example.com");
        let mut endpoint = endpoint();
        endpoint["hostnames"] = json!([host]);
        let shown = match scene.apply(&host, path, &endpoint).await {
            Ok(accepted) => show(scene, name, &host).await.map(|seen| match accepted.len() {
                0 => seen,
                _ => format!("{seen} (accepted: {accepted:?})"),
            }),
            Err(error) => Err(error),
        };
        println!("{} {name}: {shown:?}", if shown.is_ok() { "ok    " } else { "FAILED" });
        rows.push(((*name).to_owned(), shown));
    }
    let types =
        async { Ok::<_, String>((scene.service_type("external").await?, scene.service_type("internal").await?)) };
    let exposed = match types.await {
        Ok((external, internal)) if external == "LoadBalancer" && internal == "ClusterIP" => {
            Ok(format!("{external}, {internal}"))
        }
        other => Err(format!("{other:?}")),
    };
    println!("exposure: {exposed:?}");
    rows.push(("exposure".to_owned(), exposed));
    rows.push(("all taken away".to_owned(), scene.clear().await.map(|()| String::new())));
    rows
}

async fn show(scene: &Scene, name: &str, host: &str) -> Shown {
    match name {
        "jwt, claims and addresses" => tokens(scene, host).await,
        "ip-access" => addresses(scene, host).await,
        "basic-auth" => basic(scene, host).await,
        "api-key" => key(scene, host).await,
        "external-authorization" => external(scene, host).await,
        "rate-limit-local" => rate(scene, host).await,
        "rate-limit-local by client" => rate_by_client(scene, host).await,
        "rate-limit-local by header" => rate_by_header(scene, host).await,
        "retry" => retry(scene, host).await,
        "timeout" => timeout(scene, host).await,
        "circuit-breaking" => in_flight(scene, host).await,
        "body-size-limit" => body(scene, host).await,
        "compression" => compression(scene, host).await,
        "direct-response" => direct(scene, host).await,
        "url-rewrite by expression" => rewrite(scene, host).await,
        "session-affinity" => affinity(scene, host).await,
        "load-balancing" => in_turn(scene, host).await,
        "fault-injection" => fault(scene, host).await,
        "cors and header modification" => headers(scene, host).await,
        _ => Err("no requests for this case".to_owned()),
    }
}

fn from(get: Get, client: usize) -> Shown<Get> {
    Ok(get.from(CLIENT_ADDRESSES[client].parse().map_err(|_| "no address")?))
}

/// From the first client that is allowed and from one that is denied, with every token.
async fn tokens(scene: &Scene, host: &str) -> Shown {
    let get = || scene.get(host, "/");
    let missing = send(&from(get()?, 0)?).await?;
    expect(missing.status == 401 && !missing.reached_backend(), "no token gets 401", &missing)?;
    let mut count = 0;
    for line in include_str!("tokens.csv").lines().skip(1) {
        let [status, what, token] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("no row: {line}"));
        };
        let status: u16 = status.parse().map_err(|_| "no status")?;
        let bearer = format!("Bearer {token}");
        let get = get()?.header("authorization", &bearer).header("x-user", "forged");
        let allowed = send(&from(get.clone(), 0)?).await?;
        expect(allowed.status == status, &format!("{what} gets {status}"), &allowed)?;
        if status == 200 {
            let seen = &allowed.report()["headers"];
            expect(seen["authorization"].is_null(), "the token does not reach the backend", seen)?;
            expect(seen["x-user"] == json!(["alice"]), "the claim does, and not what the client says", seen)?;
        } else {
            expect(!allowed.reached_backend(), "it does not reach the backend", &allowed)?;
        }
        // Denied is denied, whatever the token, and whatever X-Forwarded-For says.
        let denied = send(&from(get.header("x-forwarded-for", CLIENT_ADDRESSES[0]), 2)?).await?;
        let refused = if status == 401 { 401 } else { 403 };
        expect(denied.status == refused, &format!("{what} from a denied address gets {refused}"), &denied)?;
        count += 1;
    }
    let token = include_str!("tokens.csv").lines().nth(1).and_then(|line| line.rsplit(',').next()).unwrap_or_default();
    let query = send(&from(scene.get(host, &format!("/?access_token={token}"))?, 0)?).await?;
    expect(query.status == 401, "a token in the query does not count", &query.status)?;
    Ok(format!("{count} tokens from an allowed and a denied address, none, and one in the query"))
}

async fn addresses(scene: &Scene, host: &str) -> Shown {
    // The block 198.51.100.10/31 holds .10 and .11.
    for (client, expected) in [(0, 403), (1, 403), (2, 200)] {
        for forged in [None, Some("198.51.100.10"), Some("198.51.100.200")] {
            let mut get = from(scene.get(host, "/")?, client)?;
            if let Some(forged) = forged {
                get = get.header("x-forwarded-for", forged).header("x-real-ip", forged);
            }
            let answer = send(&get).await?;
            expect(
                answer.status == expected,
                &format!("client {client} with {forged:?} gets {expected}"),
                &answer.status,
            )?;
        }
    }
    Ok("both edges of the block and one outside; forged headers change nothing".to_owned())
}

async fn basic(scene: &Scene, host: &str) -> Shown {
    // alice:wonderland, alice:wonderlanD, alicE:wonderland, no colon, another scheme, nothing.
    for (credentials, expected) in [
        (Some(ALICE), 200),
        (Some("Basic YWxpY2U6d29uZGVybGFuRA=="), 401),
        (Some("Basic YWxpY0U6d29uZGVybGFuZA=="), 401),
        (Some("Basic YWxpY2U="), 401),
        (Some("Bearer YWxpY2U6d29uZGVybGFuZA=="), 401),
        (None, 401),
    ] {
        let get = scene.get(host, "/")?;
        let get = credentials.map_or(get.clone(), |credentials| get.header("authorization", credentials));
        let answer = send(&get).await?;
        expect(answer.status == expected, &format!("{credentials:?} gets {expected}"), &answer)?;
        expect(answer.reached_backend() == (expected == 200), "only the right one reaches the backend", &answer)?;
    }
    Ok("right password 200; wrong password, wrong user, no colon, other scheme, none 401".to_owned())
}

async fn key(scene: &Scene, host: &str) -> Shown {
    let with = |key: &str| Ok::<_, String>(scene.get(host, "/")?.header("x-api-key", key));
    let right = send(&with("wonderland")?).await?;
    expect(right.status == 200, "the key passes", &right)?;
    expect(right.report()["headers"]["x-api-key"].is_null(), "the backend does not get it", &right.report())?;
    for get in [with("wonderlanD")?, with("alice")?, scene.get(host, "/?x-api-key=wonderland")?] {
        let answer = send(&get).await?;
        expect(answer.status == 401 && !answer.reached_backend(), "anything else gets 401", &answer)?;
    }
    Ok("right key 200 and removed; wrong, the client's name, in the query 401".to_owned())
}

async fn external(scene: &Scene, host: &str) -> Shown {
    let right = send(&scene.get(host, "/")?.header("x-token", "right").header("x-user", "forged")).await?;
    expect(right.status == 200, "the right token passes", &right)?;
    let user = &right.report()["headers"]["x-user"];
    expect(*user == json!(["somebody"]), "the service's header reaches the backend, the client's does not", user)?;
    for get in [scene.get(host, "/")?.header("x-token", "wrong"), scene.get(host, "/")?] {
        let answer = send(&get).await?;
        expect(answer.status == 401 && !answer.reached_backend(), "anything else is refused", &answer)?;
    }
    Ok("right token 200 with the service's header, wrong and none 401".to_owned())
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
    for client in [1, 2] {
        // A header chooses no bucket.
        let seen = statuses(&from(scene.get(host, "/")?, client)?.header("x-forwarded-for", "192.0.2.77"), 4).await?;
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

async fn retry(scene: &Scene, host: &str) -> Shown {
    let mended = send(&scene.get(host, "/?fail=2&key=own-mended")?).await?;
    let tries = scene.count("own-mended").await?;
    expect(mended.status == 200 && tries == 3, "the third try succeeds", &(mended.status, tries))?;
    let broken = send(&scene.get(host, "/?fail=9&key=own-broken")?).await?;
    let tries = scene.count("own-broken").await?;
    expect(broken.status == 503 && tries == 3, "two retries and no more", &(broken.status, tries))?;
    let other = send(&scene.get(host, "/?status=500&key=own-other")?).await?;
    let tries = scene.count("own-other").await?;
    expect(other.status == 500 && tries == 1, "500 is not retried", &(other.status, tries))?;
    Ok("2 retries: 3 tries counted at the backend, 500 tried once".to_owned())
}

async fn timeout(scene: &Scene, host: &str) -> Shown {
    let under = send(&scene.get(host, "/?delay=200")?).await?;
    expect(under.status == 200, "200 ms pass", &under.status)?;
    let over = send(&scene.get(host, "/?delay=3000")?).await?;
    let took = over.took.as_millis();
    expect(over.status == 504 && (450..2500).contains(&took), "3 s are cut off with 504", &(over.status, took))?;
    Ok(format!("200 ms pass, 3 s get 504 after {took} ms"))
}

async fn in_flight(scene: &Scene, host: &str) -> Shown {
    let slow = scene.get(host, "/?delay=2500")?;
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let slow = slow.clone();
            tokio::spawn(async move { send(&slow).await })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.map_err(|error| error.to_string())??.status);
    }
    seen.sort_unstable();
    expect(seen == [200, 200, 503, 503, 503, 503], "2 of 6 at once pass", &seen)?;
    Ok(format!("6 at once: {seen:?}"))
}

async fn body(scene: &Scene, host: &str) -> Shown {
    let of = |size: usize| Ok::<_, String>(scene.get(host, "/")?.method(Method::POST).body(vec![b'a'; size]));
    let fits = send(&of(1024)?).await?;
    expect(fits.status == 200 && fits.report()["received"] == 1024, "1024 bytes pass", &fits)?;
    let over = send(&of(1025)?).await?;
    expect(over.status == 413 && !over.reached_backend(), "1025 bytes are refused with 413", &over)?;
    Ok("1024 bytes pass, 1025 get 413".to_owned())
}

async fn compression(scene: &Scene, host: &str) -> Shown {
    let asked =
        |size: usize| Ok::<_, String>(scene.get(host, &format!("/?size={size}"))?.header("accept-encoding", "gzip"));
    let large = send(&asked(20_000)?).await?;
    expect(large.header("content-encoding") == Some("gzip"), "gzip when it is asked for", &large.headers)?;
    let small = send(&asked(1000)?).await?;
    expect(small.header("content-encoding").is_none(), "not below the smallest size", &small.headers)?;
    let plain = send(&scene.get(host, "/?size=20000")?).await?;
    expect(plain.header("content-encoding").is_none(), "plain otherwise", &plain.headers)?;
    Ok(format!("20000 bytes as {}; 1000 bytes and without Accept-Encoding plain", large.body.len()))
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

async fn affinity(scene: &Scene, host: &str) -> Shown {
    let first = send(&scene.get(host, "/a/b")?).await?;
    let cookie = first.header("set-cookie").unwrap_or_default().to_owned();
    expect(cookie.starts_with("session="), "a cookie of that name", &first.headers)?;
    expect(cookie.to_lowercase().contains("path=/"), "for the whole host", &cookie)?;
    expect(!cookie.to_lowercase().contains("max-age"), "until the browser closes", &cookie)?;
    let pair = cookie.split(';').next().unwrap_or_default();
    let with = pods(&scene.get(host, "/")?.header("cookie", pair)).await?;
    expect(with == [20], "20 requests with the cookie go to one pod", &with)?;
    let again = send(&scene.get(host, "/")?.header("cookie", pair)).await?;
    expect(again.report()["pod"] == first.report()["pod"], "to the pod that gave it", &again.report()["pod"])?;
    Ok(format!("{cookie:?}: {with:?} by pod"))
}

async fn in_turn(scene: &Scene, host: &str) -> Shown {
    let pods = pods(&scene.get(host, "/")?).await?;
    // Each worker of Envoy goes round by itself.
    expect(pods.len() == 2 && pods.iter().all(|count| (7..=13).contains(count)), "both pods in turn", &pods)?;
    Ok(format!("20 requests by pod: {pods:?}"))
}

async fn fault(scene: &Scene, host: &str) -> Shown {
    let seen = statuses(&scene.get(host, "/")?, 5).await?;
    expect(seen == [418; 5], "each request gets 418", &seen)?;
    Ok(format!("{seen:?}"))
}

async fn headers(scene: &Scene, host: &str) -> Shown {
    let get = scene.get(host, "/")?.header("x-tenant", "forged").header("x-debug", "1");
    let answer = send(&get.header("origin", "https://www.example.com")).await?;
    let seen = &answer.report()["headers"];
    expect(seen["x-tenant"] == json!(["shop"]) && seen["x-debug"].is_null(), "set and removed", seen)?;
    let allowed = |answer: &gateway_modules_testkit::lab::request::Answer| {
        answer.header("access-control-allow-origin").map(ToOwned::to_owned)
    };
    expect(allowed(&answer).as_deref() == Some("https://www.example.com"), "the origin is allowed", &answer.headers)?;
    let other = send(&scene.get(host, "/")?.header("origin", "https://www.example.com.evil.example")).await?;
    expect(allowed(&other).is_none(), "another is not", &other.headers)?;
    Ok("headers set and removed; one origin allowed, a longer one not".to_owned())
}
