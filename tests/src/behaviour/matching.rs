//! What a request must be like to take a rule, and the parts of standard filters that a gateway may have or not.

use gateway_modules_core::capability::names::{gateway_api as api, project};
use http::Method;
use serde_json::{Value, json};

use super::{
    protocols::Case,
    scene::{Scene, Shown, expect, send},
};
use crate::lab::request::Get;

/// Name, capability, and what is laid over the usual endpoint. In those that match, `api` is behind the match and `other`
/// behind everything else.
pub(super) const CASES: &[Case] = &[
    ("path matching", api::HTTP_ROUTE, || {
        rules(&[
            (json!({"path": {"exact": "/a"}}), "api"),
            (json!({"path": {"prefix": "/a"}}), "shadow"),
            (json!({"path": {"prefix": "/"}}), "other"),
        ])
    }),
    ("path matching by regular expression", project::PATH_REGULAR_EXPRESSION, || {
        // Beside no prefix that covers it: which of both goes first is the gateway's (finding 21).
        rules(&[
            (json!({"path": {"regularExpression": "/items/[0-9]+"}}), "api"),
            (json!({"path": {"exact": "/"}}), "other"),
        ])
    }),
    ("method matching", api::HTTP_ROUTE_METHOD_MATCHING, || matching(json!({"method": "POST"}))),
    ("header matching", api::HTTP_ROUTE, || {
        matching(json!({"headers": [
            {"name": "X-Kind", "value": {"exact": "new"}}, {"name": "x-size", "value": {"exact": "a b"}}]}))
    }),
    ("query parameter matching", api::HTTP_ROUTE_QUERY_PARAM_MATCHING, || {
        matching(json!({"queryParams": [{"name": "kind", "value": {"exact": "new"}}]}))
    }),
    (
        "host rewrite",
        api::HTTP_ROUTE_HOST_REWRITE,
        || json!({"policies": {"urlRewrite": {"hostname": "inside.example.com"}}}),
    ),
    (
        "redirect to a port",
        api::HTTP_ROUTE_PORT_REDIRECT,
        || json!({"policies": {"redirect": {"port": 8080, "statusCode": 302}}}),
    ),
    ("redirect with 303", api::HTTP_ROUTE_303_REDIRECT_STATUS_CODE, || moved(303)),
    ("redirect with 307", api::HTTP_ROUTE_307_REDIRECT_STATUS_CODE, || moved(307)),
    ("redirect with 308", api::HTTP_ROUTE_308_REDIRECT_STATUS_CODE, || moved(308)),
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

/// The requests for a case; none when it is not one of these.
pub(super) async fn show(scene: &Scene, name: &str, host: &str) -> Option<Shown> {
    let get = |path: &str| scene.get(host, path);
    Some(match name {
        "path matching" => {
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
        "path matching by regular expression" => {
            let right = go(&[(get("/items/42"), "api"), (get("/"), "other")]).await;
            for path in ["/items/x", "/items/", "/items/42/more", "/more/items/42"] {
                match send(&get(path)).await {
                    // The host is known, its path is not.
                    Ok(answer) if answer.status == 404 || answer.status == scene.unknown() => {}
                    seen => return Some(Err(format!("{path} is no item; seen: {seen:?}"))),
                }
            }
            right
        }
        "method matching" => {
            go(&[(get("/").method(Method::POST), "api"), (get("/"), "other"), (get("/").method(Method::PUT), "other")])
                .await
        }
        "header matching" => {
            let with = |kind: &str, size: &str| get("/").header("x-kind", kind).header("X-SIZE", size);
            go(&[
                (with("new", "a b"), "api"),
                (with("New", "a b"), "other"),
                (with("newer", "a b"), "other"),
                (with("new", "ab"), "other"),
                (get("/").header("x-kind", "new"), "other"),
            ])
            .await
        }
        "query parameter matching" => {
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
        "host rewrite" => rewritten(scene, host).await,
        "redirect to a port" => redirected(scene, host, 302, &format!("http://{host}:8080/a?b=c")).await,
        "redirect with 303" => redirected(scene, host, 303, "http://www.lab.example.com/a?b=c").await,
        "redirect with 307" => redirected(scene, host, 307, "http://www.lab.example.com/a?b=c").await,
        "redirect with 308" => redirected(scene, host, 308, "http://www.lab.example.com/a?b=c").await,
        _ => return None,
    })
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

async fn redirected(scene: &Scene, host: &str, status: u16, location: &str) -> Shown {
    let answer = send(&scene.get(host, "/a?b=c")).await?;
    expect(answer.status == status && !answer.reached_backend(), "the status asked for", &answer)?;
    expect(answer.header("location") == Some(location), location, &answer.headers)?;
    Ok(format!("{status} to {location}"))
}
