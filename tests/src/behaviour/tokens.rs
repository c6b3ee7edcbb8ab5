//! JSON Web Tokens of the lab's issuer: who gets in with which.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::scene::{Compiled, SETTLE, Scene, Shown, expect, send};

const ISSUER: &str = "https://issuer.example.com";

/// The policy that asks for a token of that audience.
pub(super) fn policy(audience: &str) -> Value {
    json!({"issuer": ISSUER, "audiences": [audience],
        "jwks": {"remote": {"url": "http://issuer.shop.svc.cluster.local:8080/keys"}}})
}

/// Claims that are right, with others laid over them; null takes one away.
fn claims_with(others: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut claims = json!({"iss": ISSUER, "aud": "shop", "sub": "alice", "iat": now, "exp": now + 300});
    for (name, value) in others.as_object().into_iter().flatten() {
        claims[name] = match value.as_i64().filter(|_| name == "exp" || name == "nbf") {
            Some(seconds) => json!(i64::try_from(now).unwrap_or_default() + seconds),
            None => value.clone(),
        };
    }
    if let Some(claims) = claims.as_object_mut() {
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

async fn token(scene: &Scene, path: &str, others: &Value) -> Shown {
    let body = claims_with(others).to_string().into_bytes();
    let answer = scene.ask("issuer", path, body).await?;
    expect(answer.status == 200, "the issuer signs", &answer.status)?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

pub(super) async fn verified(scene: &Scene, host: &str) -> Shown {
    let right = token(scene, "/token", &json!({})).await?;
    let answer = send(&scene.get(host, "/").header("authorization", &format!("Bearer {right}"))).await?;
    expect(answer.status == 200 && answer.reached_backend(), "the right token passes", &answer)?;
    let part = |index: usize| right.split('.').nth(index).unwrap_or_default().to_owned();
    let wrong = [
        ("expired", token(scene, "/token", &json!({"exp": -120})).await?),
        ("not valid yet", token(scene, "/token", &json!({"nbf": 240})).await?),
        ("of another issuer", token(scene, "/token", &json!({"iss": "https://other.example.com"})).await?),
        ("of no issuer", token(scene, "/token", &json!({"iss": null})).await?),
        ("for another audience", token(scene, "/token", &json!({"aud": "shopping"})).await?),
        ("for no audience", token(scene, "/token", &json!({"aud": null})).await?),
        ("signed by another key", token(scene, "/token/forged", &json!({})).await?),
        // {"alg":"none"}
        ("unsigned", format!("eyJhbGciOiJub25lIn0.{}.", part(1))),
        ("without signature", format!("{}.{}.", part(0), part(1))),
        ("no token", "nonsense".to_owned()),
    ];
    let mut statuses = Vec::new();
    for (what, token) in &wrong {
        let answer = send(&scene.get(host, "/").header("authorization", &format!("Bearer {token}"))).await?;
        let refused = [401, 403].contains(&answer.status) && !answer.reached_backend();
        expect(refused, &format!("a token {what} is refused"), &answer)?;
        statuses.push(format!("{what} {}", answer.status));
    }
    let none = send(&scene.get(host, "/")).await?;
    expect([401, 403].contains(&none.status), "without a token nobody passes", &none.status)?;
    let basic = send(&scene.get(host, "/").header("authorization", &format!("Basic {right}"))).await?;
    expect([401, 403].contains(&basic.status), "another scheme is no token", &basic.status)?;
    Ok(format!("right token 200; {}; none {}; other scheme {}", statuses.join(", "), none.status, basic.status))
}

/// The issuer signs with another key: tokens of the new one pass, and those of the old one no longer do.
pub(super) async fn rotated(scene: &Scene, host: &str) -> Shown {
    let mut sooner = json!({"hostnames": [host], "policies": {"jwt": policy("shop")}});
    sooner["policies"]["jwt"]["jwks"]["remote"]["cacheDuration"] = json!("5s");
    // Elsewhere the installation says how often keys are fetched.
    if let Compiled::Release { .. } = scene.compile(&sooner)? {
        scene.apply(&sooner).await?;
        scene.served(host).await?;
    }
    let bearer = |token: &str| scene.get(host, "/").header("authorization", &format!("Bearer {token}"));
    let old = token(scene, "/token", &json!({})).await?;
    let before = send(&bearer(&old)).await?;
    expect(before.status == 200, "a token of the key passes", &before)?;
    let rotated = scene.ask("issuer", "/rotate", Vec::new()).await?;
    expect(rotated.status == 200, "the issuer takes another key", &rotated.status)?;
    let new = token(scene, "/token", &json!({})).await?;
    let start = Instant::now();
    loop {
        let answer = send(&bearer(&new)).await?;
        if answer.status == 200 {
            break;
        }
        expect(answer.status == 401 && !answer.reached_backend(), "refused, or let in", &answer)?;
        expect(start.elapsed() < SETTLE, "a token of the new key passes in the end", &answer)?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = start.elapsed().as_secs_f32();
    for (what, token) in [("of the old key", old), ("forged", token(scene, "/token/forged", &json!({})).await?)] {
        let answer = send(&bearer(&token)).await?;
        expect(answer.status == 401 && !answer.reached_backend(), &format!("a token {what} is refused"), &answer)?;
    }
    Ok(format!("a token of the new key passes after {took:.1} s, one of the old key gets 401 then"))
}

pub(super) async fn claims(scene: &Scene, host: &str) -> Shown {
    for (claims, expected) in [
        (json!({"role": "admin"}), true),
        (json!({"role": ["guest", "owner"]}), true),
        (json!({"role": "administrator"}), false),
        (json!({"role": "Admin"}), false),
        (json!({"role": ["guest"]}), false),
        (json!({"roles": "admin"}), false),
        (json!({"role": {"admin": true}}), false),
        (json!({}), false),
        (json!({"role": "admin", "exp": -120}), false),
    ] {
        let token = token(scene, "/token", &claims).await?;
        let answer = send(&scene.get(host, "/").header("authorization", &format!("Bearer {token}"))).await?;
        let right = if expected { answer.status == 200 } else { [401, 403].contains(&answer.status) };
        expect(right && answer.reached_backend() == expected, &format!("{claims} passes: {expected}"), &answer)?;
    }
    Ok("role admin, and owner in a list, pass; other values, other names, none and an expired token do not".to_owned())
}
