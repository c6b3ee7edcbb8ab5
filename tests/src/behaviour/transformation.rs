//! Policies that change where requests go and what is in them and in their answers: the requests that show them.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use super::scene::{SETTLE, Scene, Shown, expect, fresh, send};
pub(super) async fn headers(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn rewrite(scene: &Scene, host: &str) -> Shown {
    for (path, expected) in [("/v1", "/v2"), ("/v1/", "/v2/"), ("/v1/a%20b?x=1", "/v2/a%20b")] {
        let answer = send(&scene.get(host, path)).await?;
        expect(answer.report()["path"] == expected, &format!("{path} becomes {expected}"), &answer.report()["path"])?;
    }
    let other = send(&scene.get(host, "/v10")).await?;
    expect(other.status == scene.unknown(), "/v10 is not under /v1", &other.status)?;
    Ok("prefix with and without rest, escapes kept, /v10 not matched".to_owned())
}

pub(super) async fn redirect(scene: &Scene, host: &str) -> Shown {
    let answer = send(&scene.get(host, "/a/b?c=d")).await?;
    expect(answer.status == 301, "status 301", &answer.status)?;
    let location = answer.header("location").unwrap_or_default().to_owned();
    expect(location == format!("https://{host}/a/b?c=d"), "the same place by https", &location)?;
    Ok(format!("301 to {location}"))
}

pub(super) async fn direct(scene: &Scene, host: &str) -> Shown {
    let answer = send(&scene.get(host, "/")).await?;
    expect(answer.status == 410 && &answer.body[..] == b"gone", "410 gone", &answer)?;
    Ok("410 with the body".to_owned())
}

pub(super) async fn mirror(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn split(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn cors(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn compression(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn body_size(scene: &Scene, host: &str) -> Shown {
    let of = |size: usize| scene.get(host, "/").method(Method::POST).body(vec![b'a'; size]);
    let fits = send(&of(1024)).await?;
    expect(fits.status == 200 && fits.report()["received"] == 1024, "1024 bytes pass", &fits)?;
    let over = send(&of(1025)).await?;
    expect(over.status == 413 && !over.reached_backend(), "1025 bytes are refused with 413", &over.status)?;
    Ok("1024 bytes pass, 1025 get 413".to_owned())
}

pub(super) async fn aborted(scene: &Scene, host: &str) -> Shown {
    for _ in 0..10 {
        let answer = send(&scene.get(host, "/")).await?;
        expect(answer.status == 503 && !answer.reached_backend(), "each request is aborted", &answer)?;
    }
    Ok("10 of 10 requests aborted with 503".to_owned())
}
