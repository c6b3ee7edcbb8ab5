//! Policies that decide who may pass: the requests that show them.

use serde_json::json;

use super::scene::{Scene, Shown, expect, send};
use crate::lab::CLIENT_ADDRESSES;
pub(super) async fn keys(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn basic(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn external(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn addresses(scene: &Scene, host: &str, allow: bool) -> Shown {
    // The block 198.51.100.10/31 holds .10 and .11.
    for (address, within) in CLIENT_ADDRESSES.into_iter().zip([true, true, false]) {
        let expected = if within == allow { 200 } else { 403 };
        // A header chooses no address.
        for forged in [None, Some("198.51.100.10"), Some("198.51.100.200")] {
            let mut get = scene.get(host, "/").from(address);
            if let Some(forged) = forged {
                get = get.header("x-forwarded-for", forged).header("x-real-ip", forged);
            }
            let answer = send(&get).await?;
            expect(answer.status == expected, &format!("{address} with {forged:?} gets {expected}"), &answer.status)?;
        }
    }
    Ok("both edges of the block and one outside, forged headers change nothing".to_owned())
}
