//! Whether protected routes refuse requests without credentials, where a plane asks for it: the condition `Observed`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use gateway_modules::core::{
    cluster::{ClusterError, PolicyProbe, ProbeOptions, ProbeVerdict, Status},
    compile::Release,
};

use crate::{ReconcilerOptions, conditions::Verdict, site::Site};

/// Name of the condition.
pub(crate) const CONDITION: &str = "Observed";
/// For all requests of one pass: as long as it may keep one of its cluster's places for work.
const LONGEST: Duration = Duration::from_secs(10);
/// Policies in a message.
const SHOWN: usize = 8;

/// What was seen last of a plane.
#[derive(Debug)]
struct Seen {
    at: Instant,
    release: String,
    probes: Vec<PolicyProbe>,
}

/// What was seen last of each plane that asks for it.
#[derive(Debug, Default)]
pub(crate) struct Probes(Mutex<BTreeMap<String, Seen>>);

impl Probes {
    /// The status with what a probe shows. What was seen of the same release is believed for a while, if nothing was written
    /// since, so that events do not make requests: until the resync if all that can be seen was, for a shorter time if not. That
    /// a route is open is looked at each time.
    pub(crate) async fn look(
        &self,
        site: &Site,
        release: &Release,
        status: Status,
        written: bool,
        options: &ReconcilerOptions,
    ) -> Result<Status, ClusterError> {
        let id = release.id();
        let believed = |seen: &&Seen| {
            let has = |verdict: ProbeVerdict| seen.probes.iter().any(|probe| probe.verdict == verdict);
            let time = if has(ProbeVerdict::Unseen) { options.retry } else { options.resync };
            seen.release == id && seen.at.elapsed() < time && !has(ProbeVerdict::Open)
        };
        let known = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(&release.data_plane).filter(believed).filter(|_| !written).map(|seen| seen.probes.clone())
        };
        if let Some(probes) = known {
            return Ok(status.with_probe(probes));
        }
        let options = ProbeOptions::default().with_total_timeout(LONGEST);
        let probes = site.cluster.probe(release, options).await?;
        let seen = Seen { at: Instant::now(), release: id, probes: probes.clone() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(release.data_plane.clone(), seen);
        Ok(status.with_probe(probes))
    }

    pub(crate) fn forget(&self, plane: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(plane);
    }
}

/// The condition.
pub(crate) fn verdict(probes: &[PolicyProbe]) -> Verdict {
    let of = |verdict: ProbeVerdict| -> Vec<&PolicyProbe> {
        probes.iter().filter(|probe| probe.verdict == verdict).collect()
    };
    let list = |probes: &[&PolicyProbe]| {
        let mut lines: Vec<String> = probes
            .iter()
            .take(SHOWN)
            .map(|probe| format!("{} {}: {}", probe.binding, probe.kind, probe.message))
            .collect();
        if probes.len() > SHOWN {
            lines.push(format!("and {} more", probes.len() - SHOWN));
        }
        lines.join("\n")
    };
    let (open, unseen) = (of(ProbeVerdict::Open), of(ProbeVerdict::Unseen));
    let (observed, not_showable) = (of(ProbeVerdict::Observed), of(ProbeVerdict::NotShowable));
    if !open.is_empty() {
        Verdict::no("Open", list(&open))
    } else if !unseen.is_empty() {
        Verdict::unknown("NotSeen", list(&unseen))
    } else if observed.is_empty() {
        Verdict::unknown("NothingToSee", list(&not_showable))
    } else {
        let besides = match not_showable.as_slice() {
            [] => String::new(),
            some => format!("\nnot to be shown by a request without credentials:\n{}", list(some)),
        };
        Verdict::yes("Refused", format!("{} policies refuse{besides}", observed.len()))
    }
}
