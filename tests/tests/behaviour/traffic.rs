//! What clients see while a security policy comes, changes and goes, and that an internal endpoint stays inside.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gateway_modules_testkit::lab::request::Get;
use serde_json::{Value, json};

use crate::scene::{Scene, Shown, expect, send};

/// Clients at once, half of them on kept connections, and the requests of each in a second.
const CLIENTS: u32 = 8;
const RATE: u32 = 40;

type Seen = Arc<Mutex<BTreeMap<String, u32>>>;

/// Sends without pause until it is told to stop, and counts the answers by status.
struct Load {
    stop: Arc<AtomicBool>,
    seen: Seen,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    start: Instant,
}

impl Load {
    fn start(get: &Get) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Seen::default());
        let tasks = (0..CLIENTS)
            .map(|client| tokio::spawn(client_loop(get.clone(), client % 2 == 0, Arc::clone(&stop), Arc::clone(&seen))))
            .collect();
        Self { stop, seen, tasks, start: Instant::now() }
    }

    /// What was seen since the last call.
    fn take(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn end(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            let _ = task.await;
        }
        self.start.elapsed()
    }
}

async fn client_loop(get: Get, keep: bool, stop: Arc<AtomicBool>, seen: Seen) {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        if connection.is_none() || !keep {
            connection = get.connect().await.ok();
        }
        let answer = match &mut connection {
            Some(open) => open.send(&get).await.ok(),
            None => None,
        };
        let what = match &answer {
            Some(answer) if answer.reached_backend() => "backend".to_owned(),
            Some(answer) => answer.status.to_string(),
            None => "broken off".to_owned(),
        };
        if answer.is_none() {
            connection = None;
        }
        *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }
}

fn failures(seen: &BTreeMap<String, u32>) -> u32 {
    seen.iter().filter(|(what, _)| what.starts_with('5') || *what == "broken off").map(|(_, count)| count).sum()
}

fn count(seen: &BTreeMap<String, u32>, what: &str) -> u32 {
    seen.get(what).copied().unwrap_or_default()
}

/// Under load: a protected route appears, its policy changes, goes, and comes back.
pub async fn security_policy(scene: &Scene, field: &str, policies: [Value; 2], refusal: &str) -> Shown {
    const HOST: &str = "traffic.lab.example.com";
    let endpoint = |policy: Option<&Value>| {
        let mut endpoint = json!({"hostnames": [HOST]});
        if let Some(policy) = policy {
            endpoint["policies"] = json!({field: policy});
        }
        endpoint
    };
    scene.apply(&json!({"hostnames": ["before.lab.example.com"]})).await?;
    scene.served("before.lab.example.com").await?;
    let load = Load::start(&scene.get(HOST, "/"));
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
        tokio::time::sleep(Duration::from_secs(4)).await;
        let during = load.take();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = load.take();
        told.push(format!("{step}: {during:?}, then {after:?}"));
        total += during.values().chain(after.values()).sum::<u32>();
        all_failures += failures(&during) + failures(&after);
        let open = if step == "policy removed" || step == "policy added" { 0 } else { count(&during, "backend") };
        expect(open == 0, "no answer of the backend without the policy", &told)?;
        let wrong = if policy.is_some() { count(&after, "backend") } else { count(&after, refusal) };
        expect(wrong == 0, "what was applied is in force five seconds later", &told)?;
        expect(after.values().sum::<u32>() > 0, "answers", &told)?;
    }
    let seconds = load.end().await.as_secs_f64();
    let rate = f64::from(total) / seconds;
    expect(all_failures == 0, "no 5xx and nothing broken off", &told)?;
    expect(rate >= 200.0, "at least 200 requests a second", &rate)?;
    Ok(format!("{total} requests, {rate:.0} a second, half on kept connections; {}", told.join("; ")))
}

/// Under load: the gateway's pod is killed in front of a protected endpoint.
pub async fn killed(scene: &Scene) -> Shown {
    const HOST: &str = "killed.lab.example.com";
    scene.apply(&json!({"hostnames": [HOST], "policies": {"ipAccess": {"allow": ["10.9.0.0/16"]}}})).await?;
    scene.served(HOST).await?;
    let load = Load::start(&scene.get(HOST, "/"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = load.take();
    let pods = scene.kill_gateway().await?;
    let start = Instant::now();
    let mut during: BTreeMap<String, u32> = BTreeMap::new();
    let mut quiet = 0;
    while quiet < 10 && start.elapsed() < Duration::from_secs(40) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let seen = load.take();
        // Two seconds of nothing but refusals.
        quiet = if count(&seen, "403") > 0 && seen.len() == 1 { quiet + 1 } else { 0 };
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

/// An endpoint that is internal only, asked at the external address by every name.
pub async fn internal(scene: &Scene) -> Shown {
    const HOST: &str = "inside.internal.example.com";
    scene.apply(&json!({"visibilities": ["internal"], "hostnames": [HOST]})).await?;
    let start = Instant::now();
    let inside = Get::new(scene.internal, HOST, "/");
    loop {
        let answer = send(&inside).await?;
        if answer.status == 200 && answer.reached_backend() {
            break;
        }
        expect(start.elapsed() < Duration::from_secs(20), "the internal address serves it", &answer)?;
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
    Ok(format!("served inside; {asked} requests at the external address by {} names: none 2xx", hosts.len()))
}
