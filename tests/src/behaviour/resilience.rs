//! Policies against backends that are slow, busy or broken: the requests that show them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::scene::{SETTLE, Scene, Shown, expect, fresh, send};
use crate::lab::request::Get;
pub(super) async fn timeout(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn retry(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn in_flight(scene: &Scene, host: &str) -> Shown {
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

/// Requests of 1.5 s each, of which the limit lets two through at once, and each thread of a proxy but the first one more
/// (docs/findings.md, 13). They can take longer: an idle connection of one thread counts, and no other thread can use it.
pub(super) async fn waits(scene: &Scene, host: &str) -> Shown {
    let most = 1 + std::thread::available_parallelism().map_or(1, usize::from);
    let count = 3 * most;
    let slow = scene.get(host, "/?delay=1500");
    let answers = futures::future::join_all((0..count).map(|_| send(&slow))).await;
    let mut took = Vec::new();
    for answer in answers {
        let answer = answer?;
        expect(answer.status == 200, "all pass in the end", &answer.status)?;
        took.push(answer.took.as_millis());
    }
    took.sort_unstable();
    let fewer = took.windows(most + 1).all(|answers| answers[most] - answers[0] >= 1400);
    expect(fewer, &format!("at most {most} at a time"), &took)?;
    Ok(format!("{count} at once: all pass, at most {most} at a time, after {took:?} ms"))
}

pub(super) async fn round_robin(scene: &Scene, host: &str) -> Shown {
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

pub(super) async fn affinity(scene: &Scene, host: &str) -> Shown {
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

/// How long a pod says that it is not well.
const AILING: Duration = Duration::from_secs(10);

/// How long that may go unnoticed: Envoy looks once a minute at endpoints to which it has had no connection (docs/findings.md, 37).
const UNNOTICED: Duration = Duration::from_secs(90);

/// What was seen of a pod that was not well for [`AILING`].
struct Ailing {
    /// When it got its last request meanwhile.
    out: Duration,
    /// When it got one again.
    back: Duration,
    /// Requests to the other between.
    others: u32,
}

/// A pod that answers requests as ever, and says that it is not well for ten seconds.
pub(super) async fn unhealthy(scene: &Scene, host: &str, at_once: bool) -> Shown {
    let get = scene.get(host, "/");
    let pod = one_of_two(&get).await?;
    let start = Instant::now();
    let (mut times, mut seen) = (0, ailing(scene, &get, host, &pod).await?);
    while seen.out > AILING / 2 && start.elapsed() < UNNOTICED {
        times += 1;
        seen = ailing(scene, &get, host, &pod).await?;
    }
    // Three answers, a second between two of them; or the first. A busy machine adds to a time: of those that are to be short, the shortest.
    const EARLY: Duration = Duration::from_millis(1500);
    for _ in 0..4 {
        if !at_once || seen.out < EARLY {
            break;
        }
        let again = ailing(scene, &get, host, &pod).await?;
        seen = if again.out < seen.out { again } else { seen };
    }
    expect(seen.others >= 50, "the other answers meanwhile", &(seen.others, times))?;
    let early = seen.out < EARLY;
    expect(early == at_once, "out after as many bad answers as the intent says, or accepts", &seen.out)?;
    let (out, back) = (seen.out.as_secs_f32(), seen.back.as_secs_f32());
    let before = if times == 0 {
        String::new()
    } else {
        format!("; before, {times} times, nobody had looked for half of the 10 s")
    };
    Ok(format!("out after {out:.1} s, {} requests to the other, back after {back:.1} s{before}", seen.others))
}

async fn ailing(scene: &Scene, get: &Get, host: &str, pod: &str) -> Shown<Ailing> {
    let tell = scene.get(host, &format!("/?ailing={pod}:{}", AILING.as_millis()));
    let start = Instant::now();
    while send(&tell).await?.report()["pod"] != pod {
        expect(start.elapsed() < SETTLE, "the pod is told", &start.elapsed())?;
    }
    let start = Instant::now();
    let mut seen = Ailing { out: Duration::ZERO, back: Duration::ZERO, others: 0 };
    loop {
        let answer = send(get).await?;
        expect(answer.status == 200, "one of them answers", &answer.status)?;
        let after = start.elapsed();
        if answer.report()["pod"] != pod {
            seen.others += 1;
        } else if after < AILING {
            (seen.out, seen.others) = (after, 0);
        } else {
            seen.back = after;
            return Ok(seen);
        }
        expect(after < SETTLE, "the pod is taken in again", &after)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn outliers(scene: &Scene, host: &str) -> Shown {
    let good = scene.get(host, "/");
    let failing = one_of_two(&good).await?;
    let get = scene.get(host, &format!("/?failing={failing}"));
    // One below the limit, and a good answer between: it stays, twice.
    for _ in 0..2 {
        fail(&get, 2).await?;
        let mut others = 0;
        while send(&good).await?.report()["pod"] != failing.as_str() {
            others += 1;
            expect(others < 40, "two failures in a row do not take the pod out", &others)?;
        }
    }
    fail(&get, 3).await?;
    let (start, mut passed) = (Instant::now(), 0);
    loop {
        let answer = send(&get).await?;
        let after = start.elapsed();
        if answer.status == 500 {
            expect(after >= Duration::from_millis(9500), "the third takes the pod out for ten seconds", &after)?;
            expect(passed >= 20, "the other answers meanwhile", &passed)?;
            let seconds = after.as_secs_f32();
            return Ok(format!(
                "out after 3 failures in a row and not after 2, {passed} requests to the other, back after {seconds:.1} s"
            ));
        }
        passed += 1;
        expect(answer.status == 200, "the other answers", &answer)?;
        expect(after < SETTLE, "the pod is taken in again", &after)?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One of the two pods of a Service, when both were seen to answer.
async fn one_of_two(get: &Get) -> Shown {
    let mut pods = BTreeSet::new();
    for _ in 0..40 {
        pods.extend(send(get).await?.report()["pod"].as_str().map(str::to_owned));
    }
    expect(pods.len() == 2, "both pods answer", &pods)?;
    Ok(pods.pop_first().unwrap_or_default())
}

/// Sends until so many requests have failed, in a row or not.
async fn fail(get: &Get, times: usize) -> Shown<()> {
    let mut failed = 0;
    for _ in 0..200 {
        let answer = send(get).await?;
        expect([200, 500].contains(&answer.status), "200, or the failing pod's 500", &answer)?;
        failed += usize::from(answer.status == 500);
        if failed == times {
            return Ok(());
        }
    }
    Err(format!("{failed} of 200 requests went to the failing pod, not {times}"))
}
