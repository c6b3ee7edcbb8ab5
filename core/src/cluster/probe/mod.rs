//! A probe: requests without credentials to protected routes, which their policies must refuse.

mod requests;
mod send;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;

pub(super) use self::requests::gateways;
use self::{
    requests::{Asked, Request, Rules, Unasked},
    send::Answer,
};
use crate::{
    compile::{PolicyStatement, Release},
    intent::policies::PolicyKind,
    plan::Identity,
    resolve::Binding,
};

/// Requests at a time.
const CONCURRENCY: usize = 16;
/// Time between two tries of a request that has told nothing.
const PAUSE: Duration = Duration::from_millis(500);
/// Answers in a message.
const SHOWN: usize = 4;

/// How long a probe may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeOptions {
    /// For one request, from the connection to the head of the answer. Default 5 s.
    pub request_timeout: Duration,
    /// For all of them. What tells nothing (a gateway that does not answer yet) is asked again as long. Default 15 s.
    pub total_timeout: Duration,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { request_timeout: Duration::from_secs(5), total_timeout: Duration::from_secs(15) }
    }
}

impl ProbeOptions {
    /// For all requests.
    #[must_use]
    pub const fn with_total_timeout(mut self, timeout: Duration) -> Self {
        self.total_timeout = timeout;
        self
    }
}

/// What requests have shown of a security policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeVerdict {
    /// Every request was refused as the policy must refuse it.
    Observed,
    /// A request without credentials got an answer of success.
    Open,
    /// Not known: something was not asked, was not answered, or has another answer than a refusal of this policy.
    Unseen,
    /// No request without credentials can show it.
    NotShowable,
}

/// What a probe has shown of a security policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyProbe {
    /// Where the policy is in force.
    pub binding: Binding,
    /// Kind.
    pub kind: PolicyKind,
    /// What was shown.
    pub verdict: ProbeVerdict,
    /// Requests that were sent for it, without their repetitions.
    pub requests: usize,
    /// The answers, or why there are none.
    pub message: String,
}

/// Probes every security policy of a release, in its order.
pub(super) async fn run(
    release: &Release,
    objects: &BTreeMap<Identity, Value>,
    options: ProbeOptions,
) -> Vec<PolicyProbe> {
    let rules = Rules::of(release);
    let asked: Vec<Result<Asked, Unasked>> =
        release.policies.iter().map(|statement| requests::of(statement, &rules, objects)).collect();
    let mut beside: BTreeMap<&Binding, Vec<&PolicyStatement>> = BTreeMap::new();
    for statement in &release.policies {
        beside.entry(&statement.binding).or_default().push(statement);
    }
    let requests = asked.iter().flatten().flat_map(|asked| &asked.requests).cloned().map(|request| (request, None));
    let answers = send_all(requests.collect(), options).await;
    let judged = release.policies.iter().zip(asked);
    judged
        .map(|(statement, asked)| {
            let requests = asked.as_ref().map_or(0, |asked| asked.requests.len());
            let (verdict, message) = judge(statement, &beside[&statement.binding], asked, &answers);
            PolicyProbe { binding: statement.binding.clone(), kind: statement.kind, verdict, requests, message }
        })
        .collect()
}

/// Sends each until it has told something, or the time is over.
async fn send_all(
    mut answers: BTreeMap<Request, Option<Answer>>,
    options: ProbeOptions,
) -> BTreeMap<Request, Option<Answer>> {
    let end = Instant::now() + options.total_timeout;
    loop {
        let open: Vec<Request> = answers
            .iter()
            .filter(|(_, answer)| !answer.as_ref().is_some_and(Answer::tells))
            .map(|(request, _)| request.clone())
            .collect();
        let mut sent = stream::iter(open)
            .map(|request| async move {
                let left = end.saturating_duration_since(Instant::now()).min(options.request_timeout);
                let answer = if left.is_zero() { None } else { Some(send::send(&request, left).await) };
                (request, answer)
            })
            .buffer_unordered(CONCURRENCY);
        let mut all = true;
        while let Some((request, answer)) = sent.next().await {
            all &= answer.as_ref().is_some_and(Answer::tells);
            if answer.is_some() {
                answers.insert(request, answer);
            }
        }
        drop(sent);
        if all || Instant::now() + PAUSE >= end {
            return answers;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn judge(
    statement: &PolicyStatement,
    beside: &[&PolicyStatement],
    asked: Result<Asked, Unasked>,
    answers: &BTreeMap<Request, Option<Answer>>,
) -> (ProbeVerdict, String) {
    let asked = match asked {
        Ok(asked) => asked,
        Err(Unasked::Never(reason)) => return (ProbeVerdict::NotShowable, reason),
        Err(Unasked::Now(reason)) => return (ProbeVerdict::Unseen, reason),
    };
    let told = |request: &Request| match answers.get(request) {
        Some(Some(answer)) => format!("{answer} to {request}"),
        _ => format!("no time was left for {request}"),
    };
    let list = |requests: &[&Request]| {
        let mut lines: Vec<String> = requests.iter().take(SHOWN).map(|request| told(request)).collect();
        if requests.len() > SHOWN {
            lines.push(format!("and {} more", requests.len() - SHOWN));
        }
        lines.join("; ")
    };
    let answer = |request: &Request| answers.get(request).and_then(Option::as_ref);
    let of = |wanted: &dyn Fn(&Request) -> bool| -> Vec<&Request> {
        asked.requests.iter().filter(|request| wanted(request)).collect()
    };
    let open = of(&|request| answer(request).is_some_and(Answer::is_success));
    if !open.is_empty() {
        return (ProbeVerdict::Open, list(&open));
    }
    let unclear = of(&|request| !answer(request).is_some_and(|answer| answer.refuses(statement.kind)));
    if !unclear.is_empty() {
        return (ProbeVerdict::Unseen, list(&unclear));
    }
    let others: Vec<String> = beside
        .iter()
        .filter(|other| other.kind != statement.kind && other.places.iter().any(|at| statement.places.contains(at)))
        .filter(|other| asked.requests.iter().any(|request| answer(request).is_some_and(|a| a.may_be_of(other.kind))))
        .map(|other| other.kind.to_string())
        .collect();
    if !others.is_empty() {
        let all: Vec<&Request> = asked.requests.iter().collect();
        let message = format!("refused, and it may be {} that refuses: {}", others.join(" or "), list(&all));
        return (ProbeVerdict::Unseen, message);
    }
    if let Some(reason) = asked.left_out {
        return (ProbeVerdict::Unseen, reason);
    }
    (ProbeVerdict::Observed, list(&asked.requests.iter().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{
        compile::Promise,
        intent::{DocumentId, FieldRef},
        module::Enforcement,
        object::{GroupVersionKind, ObjectKey},
    };

    fn statement(kind: PolicyKind) -> PolicyStatement {
        let route = ObjectKey {
            kind: GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute"),
            namespace: Some("shop".to_owned()),
            name: "catalog".to_owned(),
        };
        PolicyStatement {
            binding: Binding {
                namespace: "shop".into(),
                component: "catalog".into(),
                endpoint: "api".into(),
                visibility: "external".into(),
            },
            rules: Vec::new(),
            places: vec![(route, 0)],
            kind,
            field: FieldRef::new(DocumentId::Component { namespace: "shop".into(), name: "catalog".into() }, ""),
            enforcement: Enforcement::Inline,
            promise: Promise::Ordered,
            objects: Vec::new(),
        }
    }

    /// The verdict about the first of the kinds on a rule, from the answers at one address each.
    fn verdict(kinds: &[PolicyKind], statuses: &[u16], left_out: Option<&str>) -> ProbeVerdict {
        let statements: Vec<PolicyStatement> = kinds.iter().map(|kind| statement(*kind)).collect();
        let answers: BTreeMap<Request, Option<Answer>> = statuses
            .iter()
            .enumerate()
            .map(|(number, status)| {
                let request = Request {
                    address: format!("203.0.113.{number}"),
                    port: 80,
                    tls: false,
                    host: "a.example.com".to_owned(),
                    method: "GET".to_owned(),
                    path: "/".to_owned(),
                    headers: Vec::new(),
                };
                (request, StatusCode::from_u16(*status).ok().map(Answer::Status))
            })
            .collect();
        let asked = Asked { requests: answers.keys().cloned().collect(), left_out: left_out.map(ToOwned::to_owned) };
        let beside: Vec<&PolicyStatement> = statements.iter().collect();
        judge(&statements[0], &beside, Ok(asked), &answers).0
    }

    #[test]
    fn a_refusal_is_seen_only_when_every_address_gives_it_and_no_other_policy_could() {
        use PolicyKind::{BasicAuth, ClaimsAuthorization, ExternalAuthorization, IpAccess, Jwt};
        assert_eq!(verdict(&[Jwt], &[401, 403], None), ProbeVerdict::Observed);
        assert_eq!(verdict(&[Jwt], &[401, 200], None), ProbeVerdict::Open);
        assert_eq!(verdict(&[Jwt], &[204, 401], Some("a rule")), ProbeVerdict::Open);
        for status in [0, 302, 404, 429, 500, 503] {
            assert_eq!(verdict(&[Jwt], &[401, status], None), ProbeVerdict::Unseen, "{status}");
        }
        assert_eq!(verdict(&[Jwt], &[401], Some("a rule was not asked")), ProbeVerdict::Unseen);
        assert_eq!(verdict(&[Jwt, BasicAuth], &[401], None), ProbeVerdict::Unseen);
        assert_eq!(verdict(&[Jwt, ExternalAuthorization], &[401], None), ProbeVerdict::Unseen);
        for beside in [IpAccess, ClaimsAuthorization] {
            assert_eq!(verdict(&[Jwt, beside], &[401], None), ProbeVerdict::Observed, "{beside}");
            assert_eq!(verdict(&[Jwt, beside], &[403], None), ProbeVerdict::Unseen, "{beside}");
        }
    }
}
