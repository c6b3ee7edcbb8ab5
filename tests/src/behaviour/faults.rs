//! What clients see when something else breaks: never an answer that a policy forbids, and all is well again afterwards.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use gateway_modules_core::capability::{CapabilityName, names::project::LISTENER_HTTPS};
use serde_json::json;

use super::scene::{Scene, Shown, expect, fresh, send};
use crate::{
    control_plane::pki::Authority,
    lab::{
        backends, certificates,
        gateways::Stand,
        request::{Answer, Get, Trust},
    },
};

/// How long what was broken may take to be well again.
const RECOVERY: Duration = Duration::from_secs(180);

/// How long an answer is waited for while something is broken.
const WAIT: Duration = Duration::from_secs(3);

/// Something that breaks.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// What a gateway must have for it.
    pub(super) needs: Option<CapabilityName>,
    /// The requests meanwhile and afterwards; what they have shown, for the table.
    pub(super) show: for<'a> fn(&'a Scene) -> BoxFuture<'a, Shown>,
}

/// All of them, in their order.
pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "backend breaks off", needs: None, show: |scene| breaks_off(scene).boxed() },
    Fault { name: "backend answers garbage", needs: None, show: |scene| garbage(scene).boxed() },
    Fault {
        name: "policy with a missing reference",
        needs: Some(CapabilityName::of("policy/basic-auth")),
        show: |scene| missing_reference(scene).boxed(),
    },
    Fault {
        name: "authorization service gone",
        needs: Some(CapabilityName::of("policy/external-authorization")),
        show: |scene| without(scene, backends::NAMESPACE, "authorization").boxed(),
    },
    Fault {
        name: "name service gone",
        needs: Some(CapabilityName::of("policy/external-authorization")),
        show: |scene| without(scene, "kube-system", "coredns").boxed(),
    },
    Fault {
        name: "gateway gone while intents change",
        needs: Some(CapabilityName::of("policy/ip-access")),
        show: |scene| changed_meanwhile(scene).boxed(),
    },
    Fault { name: "certificate replaced", needs: Some(LISTENER_HTTPS), show: |scene| certificate(scene).boxed() },
];

/// Waits until a request gets this status, and says how long that took.
async fn until(get: &Get, status: u16) -> Shown<Duration> {
    every_replica(get, &format!("{status} again"), |answer| answer.is_some_and(|answer| answer.status == status)).await
}

/// Answers in a row, each on a connection of its own, after which every replica has given one: each has what is written in its own time.
const IN_A_ROW: usize = 12;

/// Waits for an answer (none: the connection is refused) that every replica gives; the time until the first of them.
async fn every_replica(get: &Get, what: &str, wanted: impl Fn(Option<&Answer>) -> bool) -> Shown<Duration> {
    let start = Instant::now();
    let (mut row, mut first) = (0, Duration::ZERO);
    while row < IN_A_ROW {
        let answer = tokio::time::timeout(WAIT, get.send()).await;
        if answer.as_ref().is_ok_and(|answer| wanted(answer.as_ref().ok())) {
            if row == 0 {
                first = start.elapsed();
            }
            row += 1;
            continue;
        }
        row = 0;
        expect(start.elapsed() < RECOVERY, what, &answer)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(first)
}

async fn breaks_off(scene: &Scene) -> Shown {
    const HOST: &str = "broken.lab.example.com";
    scene.apply(&json!({"hostnames": [HOST]})).await?;
    scene.served(HOST).await?;
    let key = fresh("broken-off");
    let post = scene.get(HOST, &format!("/?break=1&key={key}")).method(http::Method::POST).body(b"order".to_vec());
    let answer = send(&post).await?;
    expect([502, 503].contains(&answer.status), "the gateway's own error", &answer)?;
    let tries = scene.count("api", &key).await?;
    expect(tries == 1, "what may have been done is not sent again", &tries)?;
    let after = send(&scene.get(HOST, "/")).await?;
    expect(after.status == 200, "the next request passes", &after)?;
    Ok(format!("{} after one try, the next request 200", answer.status))
}

async fn garbage(scene: &Scene) -> Shown {
    const HOST: &str = "garbage.lab.example.com";
    scene.apply(&json!({"hostnames": [HOST], "service": "garbage"})).await?;
    scene.served(HOST).await?;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = send(&scene.get(HOST, "/")).await?;
        expect([500, 502, 503].contains(&answer.status), "the gateway's own error", &answer)?;
        statuses.push(answer.status);
    }
    Ok(format!("{statuses:?}"))
}

async fn missing_reference(scene: &Scene) -> Shown {
    const HOST: &str = "missing.lab.example.com";
    let endpoint =
        |name: &str| json!({"hostnames": [HOST], "policies": {"basicAuth": {"credentials": {"name": name}}}});
    // Whether it is refused or written closed, nobody gets in.
    let written = match scene.write(&endpoint("absent")).await {
        Ok(()) => "written".to_owned(),
        Err(reason) => format!("refused ({reason})"),
    };
    let plain = scene.get(HOST, "/");
    let password = plain.clone().header("authorization", "Basic YWxpY2U6d29uZGVybGFuZA==");
    let mut statuses = BTreeSet::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        for get in [&plain, &password] {
            let answer = send(get).await?;
            expect(!answer.reached_backend(), "never an open door", &answer)?;
            statuses.insert(answer.status);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scene.apply(&endpoint("users")).await?;
    until(&password, 200).await?;
    let refused = send(&plain).await?;
    expect(refused.status == 401, "without a password 401", &refused)?;
    Ok(format!("{written}, answers {statuses:?}; with the Secret 200 and 401"))
}

/// External authorization while a Deployment that it needs is scaled to nothing.
async fn without(scene: &Scene, namespace: &str, name: &str) -> Shown {
    const HOST: &str = "alone.lab.example.com";
    scene
        .apply(&json!({"hostnames": [HOST], "policies": {"externalAuthorization": {
            "protocol": "HTTP", "service": "authorization", "port": 8080, "allowedHeaders": ["X-Token"],
            "backendHeaders": ["X-User"]}}}))
        .await?;
    scene.served(HOST).await?;
    let none = scene.get(HOST, "/");
    let right = none.clone().header("x-token", "right");
    until(&right, 200).await?;
    scene.scale(namespace, name, 0).await?;
    let seen = closed(&none, &right).await;
    // Whatever was seen: others need it.
    scene.scale(namespace, name, 1).await?;
    let seen = seen?;
    let recovered = until(&right, 200).await?;
    let refused = send(&none).await?;
    expect(refused.status == 401, "without a token 401", &refused)?;
    Ok(format!("while it is gone: {seen}; 200 and 401 again after {:.1} s", recovered.as_secs_f32()))
}

/// For three seconds nobody without a token gets in; what those with one get is told. A gateway that waits for the service
/// lets nobody in either.
async fn closed(none: &Get, right: &Get) -> Shown {
    let (mut refused, mut passed) = (BTreeSet::new(), BTreeSet::new());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let (without, with) =
            futures::join!(tokio::time::timeout(WAIT, send(none)), tokio::time::timeout(WAIT, send(right)));
        if let Ok(Ok(answer)) = &without {
            expect(!answer.reached_backend() && answer.status >= 400, "never an open door", &answer)?;
        }
        refused.insert(told(&without));
        passed.insert(told(&with));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let list = |told: BTreeSet<String>| told.into_iter().collect::<Vec<_>>().join(", ");
    Ok(format!("{} without token, {} with it", list(refused), list(passed)))
}

fn told(answer: &Result<Shown<Answer>, tokio::time::error::Elapsed>) -> String {
    match answer {
        Ok(Ok(answer)) => answer.status.to_string(),
        Ok(Err(_)) => "broken off".to_owned(),
        Err(_) => format!("nothing for {} s", WAIT.as_secs()),
    }
}

async fn changed_meanwhile(scene: &Scene) -> Shown {
    const HOST: &str = "meanwhile.lab.example.com";
    let Stand::Runs { deployment: (namespace, name), .. } = scene.gateway.stand else { return Ok(String::new()) };
    let endpoint = |allow: &str| json!({"hostnames": [HOST], "policies": {"ipAccess": {"allow": [allow]}}});
    scene.apply(&endpoint("0.0.0.0/0")).await?;
    let get = scene.get(HOST, "/");
    until(&get, 200).await?;
    scene.scale(namespace, name, 0).await?;
    let written = scene.write(&endpoint("10.9.0.0/16")).await;
    scene.scale(namespace, name, 1).await?;
    // The gate may have waited in vain for a controller that was not there.
    scene.apply(&endpoint("10.9.0.0/16")).await?;
    let recovered = until(&get, 403).await?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let answer = send(&get).await?;
        expect(answer.status == 403, "the old policy does not come back", &answer)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let written = written.map_or_else(|reason| format!("not applied ({reason})"), |()| "applied".to_owned());
    Ok(format!("meanwhile {written}; in force {:.1} s after the controller is back", recovered.as_secs_f32()))
}

async fn certificate(scene: &Scene) -> Shown {
    const HOST: &str = "renewed.lab.example.com";
    let address = scene.encrypted.ok_or("no port named https")?;
    let old = scene.trust().await?;
    scene.apply(&json!({"hostnames": [HOST]})).await?;
    let get = Get::new(address, HOST, "/");
    until(&get.clone().tls(&old, HOST), 200).await?;
    let authority = Authority::new().map_err(|error| error.to_string())?;
    let pair = authority.serving("listeners", &certificates::HOSTS).map_err(|error| error.to_string())?;
    let new = Trust::of(&authority.certificate()).map_err(|error| error.to_string())?;
    let before = scene.secret(certificates::GATEWAYS, certificates::LISTENER).await?;
    let data = json!({"tls.crt": pair.certificate, "tls.key": pair.key});
    scene.replace_secret(&before, json!({"stringData": data})).await?;
    let seen = async {
        let took = until(&get.clone().tls(&new, HOST), 200).await?;
        every_replica(&get.clone().tls(&old, HOST), "the old one is no longer shown", |got| got.is_none()).await?;
        Ok::<_, String>(took)
    }
    .await;
    scene.replace_secret(&before, json!({"data": before.data["data"]})).await?;
    let took = seen?;
    until(&get.clone().tls(&old, HOST), 200).await?;
    Ok(format!("a new one is shown after {:.1} s, and the old one when it is back", took.as_secs_f32()))
}
