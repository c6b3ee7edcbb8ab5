//! What clients see while a security policy comes, changes and goes, and that an internal endpoint stays inside.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::scene::{SETTLE, Scene, Shown, expect, send};
use crate::lab::{
    CLIENT_ADDRESSES,
    request::{Answer, Get},
};

/// Clients at once, half of them on kept connections, and the requests of each in a second.
const CLIENTS: u32 = 8;
const RATE: u32 = 40;

/// Requests in each step of a change under load.
const ENOUGH: u32 = 1000;

type Seen = Arc<Mutex<BTreeMap<String, u32>>>;

/// Sends without pause until it is told to stop, and counts the answers by status, and by where they were asked for.
struct Load {
    stop: Arc<AtomicBool>,
    seen: Seen,
    by_place: Vec<Arc<AtomicU32>>,
    /// They end with it: a step that has failed leaves no load behind.
    tasks: JoinSet<()>,
    start: Instant,
}

impl Load {
    /// Half of the clients of each place are on kept connections.
    fn start(places: &[Get]) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Seen::default());
        let by_place: Vec<_> = places.iter().map(|_| Arc::default()).collect();
        let mut tasks = JoinSet::new();
        let places = places.iter().zip(&by_place).flat_map(|place| [place; 2]).cycle();
        for (client, (get, answers)) in (0..CLIENTS).zip(places) {
            let client = Client { get: get.clone(), keep: client % 2 == 0, answers: Arc::clone(answers) };
            tasks.spawn(client.run(Arc::clone(&stop), Arc::clone(&seen)));
        }
        Self { stop, seen, by_place, tasks, start: Instant::now() }
    }

    /// What was seen since the last call.
    fn take(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn end(mut self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        self.start.elapsed()
    }
}

struct Client {
    get: Get,
    keep: bool,
    answers: Arc<AtomicU32>,
}

impl Client {
    async fn run(self, stop: Arc<AtomicBool>, seen: Seen) {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / RATE);
        let mut connection = None;
        while !stop.load(Ordering::Relaxed) {
            pace.tick().await;
            if connection.is_none() || !self.keep {
                connection = self.get.connect().await.ok();
            }
            let answer = match &mut connection {
                Some(open) => open.send(&self.get).await.ok(),
                None => None,
            };
            self.answers.fetch_add(u32::from(answer.is_some()), Ordering::Relaxed);
            let what = match &answer {
                Some(answer) if answer.reached_backend() => "backend".to_owned(),
                Some(answer) => answer.status.to_string(),
                None => "broken off".to_owned(),
            };
            // A server says before which request it closes the connection (RFC 9112, 9.6).
            let closes = |answer: &Answer| answer.header("connection").is_some_and(|value| value == "close");
            if answer.as_ref().is_none_or(closes) {
                connection = None;
            }
            *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
        }
    }
}

fn failures(seen: &BTreeMap<String, u32>) -> u32 {
    seen.iter().filter(|(what, _)| what.starts_with('5') || *what == "broken off").map(|(_, count)| count).sum()
}

fn count(seen: &BTreeMap<String, u32>, what: &str) -> u32 {
    seen.get(what).copied().unwrap_or_default()
}

/// What was seen until a whole second shows nothing but what was applied, then what that second shows, and when it ended. Four
/// seconds pass in any case, and enough requests.
async fn settled(
    load: &Load,
    protected: bool,
    refusal: &str,
) -> (BTreeMap<String, u32>, BTreeMap<String, u32>, Duration) {
    let start = Instant::now();
    let mut during: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        let at = start.elapsed();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = load.take();
        let wrong = count(&second, if protected { "backend" } else { refusal });
        let sent: u32 = during.values().chain(second.values()).sum();
        let settled = at >= Duration::from_secs(4) && sent >= ENOUGH && wrong == 0 && !second.is_empty();
        if settled || start.elapsed() > SETTLE {
            return (during, second, start.elapsed());
        }
        for (what, count) in second {
            *during.entry(what).or_default() += count;
        }
    }
}

/// Under load, at each of two replicas: a protected route appears, its policy changes, goes, and comes back. The replicas stay for
/// the next policy; [`killed`] has one again.
pub(super) async fn security_policy(scene: &Scene, field: &str, policies: [Value; 2], refusal: &str) -> Shown {
    const HOST: &str = "traffic.lab.example.com";
    const BEFORE: &str = "before.lab.example.com";
    let endpoint = |policy: Option<&Value>| {
        let mut endpoint = json!({"hostnames": [HOST]});
        if let Some(policy) = policy {
            endpoint["policies"] = json!({field: policy});
        }
        endpoint
    };
    scene.apply(&json!({"hostnames": [BEFORE]})).await?;
    scene.served(BEFORE).await?;
    let replicas = scene.replicas(2).await?;
    scene.served_by_all(&replicas, BEFORE).await?;
    let places: Vec<Get> = replicas.iter().map(|replica| Get::new(*replica, HOST, "/")).collect();
    let load = Load::start(&places);
    let mut told = Vec::new();
    let mut total = 0;
    let mut all_failures = 0;
    let steps = [
        ("created protected", Some(&policies[0])),
        ("policy changed", Some(&policies[1])),
        ("policy removed", None),
        ("policy added", Some(&policies[0])),
    ];
    for (step, policy) in steps {
        scene.apply(&endpoint(policy)).await?;
        let (during, after, took) = settled(&load, policy.is_some(), refusal).await;
        told.push(format!("{step}: {during:?}, then after {} s {after:?}", took.as_secs()));
        total += during.values().chain(after.values()).sum::<u32>();
        // What a new route answers as long as it is closed: a proxy may have it a moment before the filter of its policy.
        let closed = if step == "created protected" { count(&during, "500") } else { 0 };
        all_failures += failures(&during) - closed + failures(&after);
        let open = if step == "policy removed" || step == "policy added" { 0 } else { count(&during, "backend") };
        expect(open == 0, "no answer of the backend without the policy", &told)?;
        let wrong = if policy.is_some() { count(&after, "backend") } else { count(&after, refusal) };
        expect(wrong == 0, &format!("what was applied is in force {} s later", took.as_secs()), &told)?;
        expect(after.values().sum::<u32>() > 0, "answers", &told)?;
    }
    let by_place: Vec<u32> = load.by_place.iter().map(|answers| answers.load(Ordering::Relaxed)).collect();
    let seconds = load.end().await.as_secs_f64();
    let rate = f64::from(total) / seconds;
    expect(by_place.iter().all(|answers| *answers >= ENOUGH), "answers of every replica", &by_place)?;
    expect(all_failures == 0, "no 5xx and nothing broken off", &told)?;
    // 200 a second for five seconds of each step; a machine that is slower has had longer.
    expect(total >= ENOUGH * 4, "at least 1000 requests in each step", &rate)?;
    Ok(format!(
        "{total} requests, {rate:.0} a second, half on kept connections, answers by replica {by_place:?}; {}",
        told.join("; ")
    ))
}

/// Under load: the gateway's pod is killed in front of a protected endpoint.
pub(super) async fn killed(scene: &Scene) -> Shown {
    const HOST: &str = "killed.lab.example.com";
    scene.replicas(1).await?;
    scene.apply(&json!({"hostnames": [HOST], "policies": {"ipAccess": {"allow": ["10.9.0.0/16"]}}})).await?;
    scene.served(HOST).await?;
    let load = Load::start(&[scene.get(HOST, "/")]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = load.take();
    let pods = scene.kill_gateway().await?;
    let start = Instant::now();
    let mut during: BTreeMap<String, u32> = BTreeMap::new();
    let mut quiet = 0;
    while quiet < 10 && start.elapsed() < SETTLE {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let seen = load.take();
        // Two seconds of nothing but refusals.
        quiet = match (count(&seen, "403"), seen.len()) {
            // Nothing says nothing, on a machine that does much else.
            (0, 0) => quiet,
            (_, 1) if seen.contains_key("403") => quiet + 1,
            _ => 0,
        };
        for (what, count) in seen {
            *during.entry(what).or_default() += count;
        }
    }
    let recovered = start.elapsed().as_secs_f32() - 2.0;
    load.end().await;
    let told = format!("{before:?}, then {during:?}");
    expect(pods > 0 && count(&before, "backend") + count(&during, "backend") == 0, "never an open door", &told)?;
    expect(quiet >= 10, "it recovers", &told)?;
    Ok(format!("{pods} pod killed, refusals again after {recovered:.1} s: {told}"))
}

/// The closed form: a protected route whose Service does not exist is accepted, and answers 500 to those whom the policy
/// lets in, so that it can be opened when the policy is in force.
pub(super) async fn closed(scene: &Scene) -> Shown {
    const HOST: &str = "closed.lab.example.com";
    let from = |address| scene.get(HOST, "/").from(address);
    let (insider, outsider) = (from(CLIENT_ADDRESSES[0]), from(CLIENT_ADDRESSES[1]));
    let endpoint = |service: &str| {
        json!({"hostnames": [HOST], "service": service,
            "policies": {"ipAccess": {"allow": [format!("{}/32", CLIENT_ADDRESSES[0])]}}})
    };
    scene.write(&endpoint("absent")).await?;
    let start = Instant::now();
    while send(&insider).await?.status != 500 {
        let answer = send(&insider).await?;
        expect(start.elapsed() < SETTLE, "500 for whom the policy lets in", &answer)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let closed = send(&outsider).await?.status;
    expect([403, 500].contains(&closed), "closed for others", &closed)?;
    let conditions = scene.conditions(HOST).await?;
    expect(conditions.iter().any(|one| one == "Accepted=True"), "the route is accepted", &conditions)?;
    scene.apply(&endpoint("api")).await?;
    let start = Instant::now();
    while !send(&insider).await?.reached_backend() {
        expect(start.elapsed() < SETTLE, "open for whom the policy lets in", &start.elapsed())?;
        let answer = send(&outsider).await?;
        expect(!answer.reached_backend(), "never open for others", &answer)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let outside = send(&outsider).await?;
    expect(outside.status == 403, "others are refused", &outside)?;
    Ok(format!("closed: {}, 500 and {closed} by address; then open to one and 403 to the other", conditions.join(", ")))
}

/// An endpoint that is internal only, asked at the external address by every name.
pub(super) async fn internal(scene: &Scene) -> Shown {
    const HOST: &str = "inside.internal.example.com";
    scene.apply(&json!({"visibilities": ["internal"], "hostnames": [HOST]})).await?;
    let start = Instant::now();
    let inside = Get::new(scene.internal, HOST, "/");
    loop {
        let answer = send(&inside).await?;
        if answer.status == 200 && answer.reached_backend() {
            break;
        }
        expect(start.elapsed() < SETTLE, "the internal address serves it", &answer)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut asked = 0;
    let hosts = [
        HOST,
        "INSIDE.internal.example.com",
        "inside.internal.example.com:80",
        "inside.internal.example.com.",
        "anything.lab.example.com",
        "203.0.113.10",
    ];
    for host in hosts {
        for (name, value) in [
            ("x-nothing", ""),
            ("x-forwarded-host", HOST),
            ("forwarded", "host=inside.internal.example.com"),
            ("x-original-host", HOST),
        ] {
            for path in ["/", "http://inside.internal.example.com/", "//inside.internal.example.com/"] {
                let Ok(answer) = send(&Get::new(scene.external, host, path).header(name, value)).await else {
                    continue;
                };
                asked += 1;
                let closed = !(200..300).contains(&answer.status) && !answer.reached_backend();
                expect(closed, &format!("host {host}, {name}: {value}, path {path} at the external address"), &answer)?;
            }
        }
    }
    expect(asked >= 60, "answers to compare", &asked)?;
    let mut encrypted = 0;
    if let Some(address) = scene.encrypted {
        let trust = scene.trust().await?;
        for (name, host) in [(HOST, HOST), ("anything.lab.example.com", HOST), (HOST, "anything.lab.example.com")] {
            let Ok(answer) = send(&Get::new(address, host, "/").tls(&trust, name)).await else { continue };
            encrypted += 1;
            let closed = !(200..300).contains(&answer.status) && !answer.reached_backend();
            expect(closed, &format!("host {host}, server name {name} at the external address"), &answer)?;
        }
    }
    Ok(format!(
        "served inside; {asked} requests at the external address by {} names, {encrypted} with forged server names: none 2xx",
        hosts.len()
    ))
}
