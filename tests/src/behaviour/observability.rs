//! What a gateway tells of the requests that it serves: its access log, and traces.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::scene::{SETTLE, Scene, Shown, expect, fresh, send};

/// Share of the requests that are traced, in percent.
pub(super) const SAMPLING: u8 = 25;

/// How long nothing comes when all spans have come: gateways send them every five seconds.
const QUIET: Duration = Duration::from_secs(8);

/// How a line of the access log is written.
#[derive(Clone, Copy)]
pub(super) enum LogLine {
    Text,
    Json,
}

impl LogLine {
    /// The words of a line; of JSON its values, whatever their names.
    fn words(self, line: &str) -> Option<Vec<String>> {
        match self {
            Self::Text => Some(line.replace('"', " ").split_whitespace().map(str::to_owned).collect()),
            Self::Json => {
                let object: BTreeMap<String, Value> = serde_json::from_str(line).ok()?;
                let word = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Some(object.into_values().map(word).collect())
            }
        }
    }
}

/// One line for each request, with its method, path and status.
pub(super) async fn access_log(scene: &Scene, host: &str, form: LogLine) -> Shown {
    let mark = fresh("logged");
    let requests = [("a", 200), ("b", 404), ("c", 503)];
    let path = |name: &str, status: u16| format!("/{mark}-{name}?status={status}");
    for (name, status) in requests {
        let answer = send(&scene.get(host, &path(name, status))).await?;
        expect(answer.status == status && answer.reached_backend(), "the backend's answer", &answer)?;
    }
    let start = Instant::now();
    // Proxies write what they have every ten seconds.
    let lines = loop {
        let logs = scene.logs().await?;
        let lines: Vec<String> = logs.lines().filter(|line| line.contains(&mark)).map(str::to_owned).collect();
        if lines.len() >= requests.len() {
            break lines;
        }
        expect(start.elapsed() < SETTLE, "a line for each request", &lines)?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    for (name, status) in requests {
        let path = path(name, status);
        let own: Vec<&String> = lines.iter().filter(|line| line.contains(&path)).collect();
        let [line] = own.as_slice() else { return Err(format!("one line for each request; seen: {own:?}")) };
        let words = form.words(line).unwrap_or_default();
        let told = ["GET", &path, &status.to_string()].iter().all(|word| words.iter().any(|own| own == word));
        expect(told, &format!("method, path and status {status} of the request"), line)?;
    }
    Ok(format!("{} requests, a line for each with its method, path and status", requests.len()))
}

/// Traces whose spans have a mark in an attribute.
async fn traces(scene: &Scene, mark: &str) -> Shown<BTreeSet<String>> {
    let answer = scene.ask("collector", &format!("/-/spans/{mark}"), Vec::new()).await?;
    let spans = answer.report();
    let spans = spans.as_array().ok_or("the collector does not answer")?;
    Ok(spans.iter().filter_map(|span| span["trace"].as_str().map(str::to_owned)).collect())
}

/// A share of the requests is traced, and spans of these reach the collector.
pub(super) async fn tracing(scene: &Scene, host: &str) -> Shown {
    // The way to the collector may have to be found first.
    let (first, start) = (fresh("first"), Instant::now());
    while traces(scene, &first).await?.is_empty() {
        for _ in 0..20 {
            send(&scene.get(host, &format!("/{first}"))).await?;
        }
        expect(start.elapsed() < SETTLE, "spans reach the collector", &start.elapsed())?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mark = fresh("traced");
    for _ in 0..200 {
        let answer = send(&scene.get(host, &format!("/{mark}"))).await?;
        expect(answer.status == 200, "status 200", &answer.status)?;
    }
    let (mut seen, mut since) = (BTreeSet::new(), Instant::now());
    while since.elapsed() < QUIET {
        let now = traces(scene, &mark).await?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // 200 draws with p = 1/4: mean 50, deviation 6.1; five deviations on each side.
    expect((20..=80).contains(&seen.len()), "a quarter of 200, within the binomial bound", &seen.len())?;
    Ok(format!("{} of 200 requests traced at the collector", seen.len()))
}

#[cfg(test)]
mod tests {
    use super::LogLine;

    #[test]
    fn a_line_is_read_by_its_form() {
        let words = |form: LogLine, line| form.words(line).unwrap_or_default();
        assert_eq!(words(LogLine::Text, r#""GET /a?b=1 HTTP/1.1" 200 -"#), ["GET", "/a?b=1", "HTTP/1.1", "200", "-"]);
        assert_eq!(words(LogLine::Json, r#"{"m":"GET","p":"/a?b=1","s":200}"#), ["GET", "/a?b=1", "200"]);
        assert!(words(LogLine::Json, "GET /a?b=1 200").is_empty());
    }
}
