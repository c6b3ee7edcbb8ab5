//! What a request must be like to take a rule, and the parts of standard filters that a gateway may have or not.

use futures::FutureExt;
use gateway_modules_core::capability::names::{gateway_api as api, project};
use http::Method;
use serde_json::{Value, json};

use super::{
    features::Feature,
    scene::{Scene, Shown, expect, send},
};
use crate::lab::request::Get;

/// In those that match, `api` is behind the match and `other` behind everything else.
pub(super) const FEATURES: &[Feature] = &[
    Feature {
        name: "path matching",
        capability: api::HTTP_ROUTE,
        endpoint: || {
            rules(&[
                (json!({"path": {"exact": "/a"}}), "api"),
                (json!({"path": {"prefix": "/a"}}), "shadow"),
                (json!({"path": {"prefix": "/"}}), "other"),
            ])
        },
        show: |scene, host| paths(scene, host).boxed(),
    },
    Feature {
        name: "path matching by regular expression",
        capability: project::PATH_REGULAR_EXPRESSION,
        endpoint: || {
            // Beside no prefix that covers it: which of both goes first is the gateway's (finding 21).
            rules(&[
                (json!({"path": {"regularExpression": "/items/[0-9]+"}}), "api"),
                (json!({"path": {"exact": "/"}}), "other"),
            ])
        },
        show: |scene, host| expressions(scene, host).boxed(),
    },
    Feature {
        name: "method matching",
        capability: api::HTTP_ROUTE_METHOD_MATCHING,
        endpoint: || matching(json!({"method": "POST"})),
        show: |scene, host| methods(scene, host).boxed(),
    },
    Feature {
        name: "header matching",
        capability: api::HTTP_ROUTE,
        endpoint: || {
            matching(json!({"headers": [
                {"name": "X-Kind", "value": {"exact": "new"}}, {"name": "x-size", "value": {"exact": "a b"}}]}))
        },
        show: |scene, host| headers(scene, host).boxed(),
    },
    Feature {
        name: "query parameter matching",
        capability: api::HTTP_ROUTE_QUERY_PARAM_MATCHING,
        endpoint: || matching(json!({"queryParams": [{"name": "kind", "value": {"exact": "new"}}]})),
        show: |scene, host| parameters(scene, host).boxed(),
    },
    Feature {
        name: "host rewrite",
        capability: api::HTTP_ROUTE_HOST_REWRITE,
        endpoint: || json!({"policies": {"urlRewrite": {"hostname": "inside.example.com"}}}),
        show: |scene, host| rewritten(scene, host).boxed(),
    },
    Feature {
        name: "redirect to a port",
        capability: api::HTTP_ROUTE_PORT_REDIRECT,
        endpoint: || json!({"policies": {"redirect": {"port": 8080, "statusCode": 302}}}),
        show: |scene, host| redirected(scene, host, 302, format!("http://{host}:8080/a?b=c")).boxed(),
    },
    Feature {
        name: "redirect with 303",
        capability: api::HTTP_ROUTE_303_REDIRECT_STATUS_CODE,
        endpoint: || moved(303),
        show: |scene, host| redirected(scene, host, 303, "http://www.lab.example.com/a?b=c".to_owned()).boxed(),
    },
    Feature {
        name: "redirect with 307",
        capability: api::HTTP_ROUTE_307_REDIRECT_STATUS_CODE,
        endpoint: || moved(307),
        show: |scene, host| redirected(scene, host, 307, "http://www.lab.example.com/a?b=c".to_owned()).boxed(),
    },
    Feature {
        name: "redirect with 308",
        capability: api::HTTP_ROUTE_308_REDIRECT_STATUS_CODE,
        endpoint: || moved(308),
        show: |scene, host| redirected(scene, host, 308, "http://www.lab.example.com/a?b=c".to_owned()).boxed(),
    },
];

fn rules(rules: &[(Value, &str)]) -> Value {
    let rules = rules.iter().map(|(one, service)| json!({"matches": [one], "backends": [{"service": service}]}));
    json!({"rules": rules.collect::<Vec<_>>()})
}

fn matching(one: Value) -> Value {
    rules(&[(one, "api"), (json!({"path": {"prefix": "/"}}), "other")])
}

fn moved(status: u16) -> Value {
    json!({"policies": {"redirect": {"hostname": "www.lab.example.com", "statusCode": status}}})
}

async fn paths(scene: &Scene, host: &str) -> Shown {
    let get = |path: &str| scene.get(host, path);
    go(&[
        (get("/a"), "api"),
        (get("/a?x=1"), "api"),
        (get("/a/"), "shadow"),
        (get("/a/b"), "shadow"),
        (get("/ab"), "other"),
        (get("/A"), "other"),
        (get("/"), "other"),
    ])
    .await
}

async fn expressions(scene: &Scene, host: &str) -> Shown {
    let get = |path: &str| scene.get(host, path);
    let right = go(&[(get("/items/42"), "api"), (get("/"), "other")]).await?;
    for path in ["/items/x", "/items/", "/items/42/more", "/more/items/42"] {
        // The host is known, its path is not.
        let answer = send(&get(path)).await?;
        let unknown = answer.status == 404 || answer.status == scene.unknown();
        expect(unknown, &format!("{path} is no item"), &answer)?;
    }
    Ok(right)
}

async fn methods(scene: &Scene, host: &str) -> Shown {
    let with = |method: Method| scene.get(host, "/").method(method);
    go(&[(with(Method::POST), "api"), (with(Method::GET), "other"), (with(Method::PUT), "other")]).await
}

async fn headers(scene: &Scene, host: &str) -> Shown {
    let get = || scene.get(host, "/");
    let with = |kind: &str, size: &str| get().header("x-kind", kind).header("X-SIZE", size);
    go(&[
        (with("new", "a b"), "api"),
        (with("New", "a b"), "other"),
        (with("newer", "a b"), "other"),
        (with("new", "ab"), "other"),
        (get().header("x-kind", "new"), "other"),
    ])
    .await
}

async fn parameters(scene: &Scene, host: &str) -> Shown {
    let get = |path: &str| scene.get(host, path);
    go(&[
        (get("/?kind=new"), "api"),
        (get("/?x=1&kind=new"), "api"),
        (get("/?kind=newer"), "other"),
        (get("/?kind=New"), "other"),
        (get("/?kinds=new"), "other"),
        (get("/"), "other"),
    ])
    .await
}

/// Each request reaches its backend.
async fn go(expected: &[(Get, &str)]) -> Shown {
    let mut hits = 0;
    for (get, backend) in expected {
        let answer = send(get).await?;
        expect(answer.report()["backend"] == *backend, &format!("{get:?} reaches {backend}"), &answer)?;
        hits += usize::from(*backend == "api");
    }
    Ok(format!("{hits} requests take the rule, {} others do not", expected.len() - hits))
}

async fn rewritten(scene: &Scene, host: &str) -> Shown {
    let report = send(&scene.get(host, "/a?b=c")).await?.report();
    expect(report["host"] == "inside.example.com", "the backend sees the other host", &report)?;
    expect(report["path"] == "/a" && report["query"] == "b=c", "and the same path", &report)?;
    Ok("the backend sees inside.example.com and the same path".to_owned())
}

async fn redirected(scene: &Scene, host: &str, status: u16, location: String) -> Shown {
    let answer = send(&scene.get(host, "/a?b=c")).await?;
    expect(answer.status == status && !answer.reached_backend(), "the status asked for", &answer)?;
    expect(answer.header("location") == Some(location.as_str()), &location, &answer.headers)?;
    Ok(format!("{status} to {location}"))
}
