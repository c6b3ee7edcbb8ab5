//! Behaviour of a real gateway, shown by requests.
//!
//! For each policy kind: what the module declares must be seen, with its boundaries; what it does not declare must be
//! refused, and nothing reaches the cluster. Then what clients see while a policy comes, changes and goes, that an internal
//! endpoint stays inside, and that a killed gateway comes back closed.
//!
//! A gateway of the lab is asked by [`in_lab`]; any other by [`run`], from wherever the addresses of its Services and of the
//! backends' can be reached, with a [`Gateway`] that says [`Install::There`](crate::lab::gateways::Install::There).
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use gateway_modules_core::module::GatewayModule;
//! use gateway_modules_testkit::{behaviour::{self, Options}, lab::gateways};
//!
//! # fn example(module: Arc<dyn GatewayModule>) -> Result<(), gateway_modules_testkit::Error> {
//! let gateway = gateways::find("traefik").ok_or_else(|| gateway_modules_testkit::Error::Lab("no such gateway".into()))?;
//! let report = behaviour::in_lab("default", module, gateway, &Options::default())?;
//! println!("{report}");
//! assert!(report.passes());
//! # Ok(())
//! # }
//! ```

mod access;
mod cases;
mod faults;
mod features;
mod limits;
mod matching;
mod observability;
mod options;
mod protocols;
mod report;
mod resilience;
mod scene;
mod streams;
mod tokens;
mod traffic;
mod transformation;

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::{Duration, Instant},
};

use gateway_modules_core::{capability::CapabilityName, intent::policies::PolicyKind, module::GatewayModule};
use kube::Client;
use serde_json::{Value, json};

use self::scene::{Compiled, Scene, Shown};
pub use self::{
    options::{Options, Shard},
    report::{Answer, AnswerTimes, BehaviourReport, Line, RESULTS, files, page},
};
use crate::{
    Error,
    lab::{self, Lab, gateways::Gateway},
    samples,
};

/// What is shown besides the kinds.
const EXTRAS: [&str; 7] = [
    "internal endpoint",
    "closed form",
    "ip-access under load",
    "basic-auth under load",
    "external-authorization under load",
    "jwt under load",
    "gateway killed",
];

/// Names of all lines of a whole run, in their order.
pub fn names() -> Vec<String> {
    let cases = cases::CASES.iter().map(cases::Case::name);
    let features = features::all().map(|feature| feature.name.to_owned());
    let rest = without_case().map(|kind| kind.to_string());
    let faults = faults::FAULTS.iter().map(|fault| fault.name.to_owned());
    cases.chain(features).chain(rest).chain(EXTRAS.map(str::to_owned)).chain(faults).collect()
}

/// Kinds that no case shows: refused where they are not declared, and among the limits of the stand where they are.
fn without_case() -> impl Iterator<Item = PolicyKind> {
    PolicyKind::ALL.iter().copied().filter(|kind| !cases::CASES.iter().any(|case| case.kind == *kind))
}

/// Asks a gateway that runs in a lab.
///
/// # Errors
/// When the lab does not run, or the first endpoint cannot be served; what a line has found is no error.
pub fn in_lab(
    name: &str,
    module: Arc<dyn GatewayModule>,
    gateway: &'static Gateway,
    options: &Options<'_>,
) -> Result<BehaviourReport, Error> {
    let lab = Lab::attach(name)?;
    let kubeconfig = lab.kubeconfig()?;
    lab.run(|| async { Box::pin(run(lab::client(kubeconfig).await?, module, gateway, options)).await })?
}

/// Asks a gateway that runs in the client's cluster. It must be reachable from here: its addresses, and the Services of the
/// backends (namespace [`backends::NAMESPACE`](crate::lab::backends::NAMESPACE)), which count what reaches them.
///
/// # Errors
/// As [`in_lab`].
pub async fn run(
    client: Client,
    module: Arc<dyn GatewayModule>,
    gateway: &'static Gateway,
    options: &Options<'_>,
) -> Result<BehaviourReport, Error> {
    let lines = scene::TIMES.scope(RefCell::default(), Box::pin(all(client, module, gateway, options)));
    scene::CLOSED.scope(Cell::new(false), lines).await
}

async fn all(
    client: Client,
    module: Arc<dyn GatewayModule>,
    gateway: &'static Gateway,
    options: &Options<'_>,
) -> Result<BehaviourReport, Error> {
    let scene = Scene::new(client, module, gateway).await.map_err(Error::Lab)?;
    let mut lines = Lines { options, begun: 0, ended: Vec::new() };
    for (index, case) in cases::CASES.iter().enumerate() {
        let name = case.name();
        let Some(start) = lines.begin(&name) else { continue };
        let capability = case.capability();
        let declared = scene.declared.has(&capability);
        if let Some(reason) = gateway.unshown(&capability).filter(|_| declared) {
            lines.end(name, Some(&capability), declared, Ok(Answer::NotHere(reason.to_owned())), start);
            continue;
        }
        let host = format!("case{index}.lab.example.com");
        let mut fields = (case.endpoint)();
        fields["hostnames"] = json!([host]);
        let requests = async |accepted: &[String]| (case.show)(&scene, &host, accepted).await;
        // Served where its rules are, and everywhere without some.
        let path = fields.pointer("/rules/0/matches/0/path/prefix").and_then(Value::as_str).unwrap_or("/");
        let result = asked(&scene, &fields, declared, Some((&host, path)), requests).await;
        lines.end(name, Some(&capability), declared, result, start);
    }
    for (index, feature) in features::all().enumerate() {
        let Some(start) = lines.begin(feature.name) else { continue };
        let declared = scene.declared.has(&feature.capability);
        let host = format!("protocol{index}.lab.example.com");
        let mut fields = (feature.endpoint)();
        // Those that have none of HTTP say so.
        let http = fields.get("hostnames").is_none();
        if http {
            fields["hostnames"] = json!([host]);
        }
        let requests = async |_: &[String]| (feature.show)(&scene, &host).await;
        let result = Box::pin(asked(&scene, &fields, declared, http.then_some((host.as_str(), "/")), requests)).await;
        lines.end(feature.name.to_owned(), Some(&feature.capability), declared, result, start);
    }
    for kind in without_case() {
        let name = kind.to_string();
        let Some(start) = lines.begin(&name) else { continue };
        let capability = CapabilityName::policy(kind);
        let declared = scene.declared.has(&capability);
        let result = match (declared, gateway.unshown(&capability)) {
            (true, Some(reason)) => Ok(Answer::NotHere(reason.to_owned())),
            (true, None) => Err("declared, and neither shown nor among the limits of the stand".to_owned()),
            (false, _) => match apply(&scene, &sample(kind), false).await {
                Ok(Applied::Refused(reason)) => Ok(Answer::Refused(reason)),
                Ok(Applied::Accepted(_)) => Err("not declared, and applied".to_owned()),
                Err(error) => Err(error),
            },
        };
        lines.end(name, Some(&capability), declared, result, start);
    }
    for name in EXTRAS {
        let Some(start) = lines.begin(name) else { continue };
        let (declared, result) = extra(&scene, name).await;
        lines.end(name.to_owned(), None, declared, result, start);
    }
    for fault in faults::FAULTS {
        let Some(start) = lines.begin(fault.name) else { continue };
        let missing = fault.needs.as_ref().filter(|needs| !scene.declared.has(needs));
        let result = match missing {
            Some(missing) => Ok(Answer::Refused(format!("the module does not declare {missing}"))),
            None => (fault.show)(&scene).await.map(Answer::Shown),
        };
        lines.end(fault.name.to_owned(), None, missing.is_none(), result, start);
    }
    if let Err(error) = scene.clear().await {
        lines.end("everything taken away".to_owned(), None, true, Err(error), Instant::now());
    }
    Ok(BehaviourReport::of(gateway, lines.ended))
}

/// Something besides the kinds, and whether the module declares what it is about.
async fn extra(scene: &Scene, name: &str) -> (bool, Shown<Answer>) {
    let kind = name.strip_suffix(" under load");
    let kind = kind.and_then(|kind| PolicyKind::ALL.iter().find(|own| own.to_string() == kind));
    if let Some(kind) = kind.filter(|kind| !scene.declared.has(&CapabilityName::policy(**kind))) {
        return (false, Ok(Answer::Refused(format!("the module does not declare {kind}"))));
    }
    let shown = match kind {
        Some(PolicyKind::IpAccess) => {
            let [one, two] = [json!({"allow": ["10.9.0.0/16"]}), json!({"allow": ["10.8.0.0/16"]})];
            traffic::security_policy(scene, "ipAccess", [one, two], "403").await
        }
        Some(PolicyKind::ExternalAuthorization) => {
            let policy = |headers: &[&str]| {
                json!({"protocol": "HTTP", "service": "authorization", "port": 8080, "allowedHeaders": headers,
                    "backendHeaders": ["X-User"]})
            };
            let policies = [policy(&["X-Token"]), policy(&["X-Token", "X-Other"])];
            traffic::security_policy(scene, "externalAuthorization", policies, "401").await
        }
        Some(PolicyKind::Jwt) => {
            let refusal = if scene.unknown() == 403 { "403" } else { "401" };
            traffic::security_policy(scene, "jwt", [tokens::policy("shop"), tokens::policy("other")], refusal).await
        }
        Some(_) => {
            let policy = |realm: &str| json!({"credentials": {"name": "users"}, "realm": realm});
            let plain = || json!({"credentials": {"name": "users"}});
            let with_realm = json!({"policies": {"basicAuth": policy("one")}});
            let realms = scene.compile(&with_realm).is_ok_and(|compiled| matches!(compiled, Compiled::Release { .. }));
            // Where there are no realms, the policy that changes is written again as it was.
            let policies = if realms { [policy("one"), policy("two")] } else { [plain(), plain()] };
            traffic::security_policy(scene, "basicAuth", policies, "401").await
        }
        None if name == "internal endpoint" => traffic::internal(scene).await,
        None if name == "closed form" => traffic::closed(scene).await,
        None => traffic::killed(scene).await,
    };
    (true, shown.map(Answer::Shown))
}

struct Lines<'a> {
    options: &'a Options<'a>,
    /// Lines that have begun or were passed over.
    begun: usize,
    ended: Vec<Line>,
}

impl Lines<'_> {
    /// When it begins, if it is wanted.
    fn begin(&mut self, name: &str) -> Option<Instant> {
        // What came between lines belongs to none.
        let _ = scene::TIMES.try_with(RefCell::take);
        self.begun += 1;
        self.options.wants(self.begun - 1, name).then(Instant::now)
    }

    fn end(
        &mut self,
        name: String,
        capability: Option<&CapabilityName>,
        declared: bool,
        result: Shown<Answer>,
        start: Instant,
    ) {
        let answer = result.unwrap_or_else(Answer::Failed);
        let capability = capability.map(ToString::to_string);
        let answered = scene::TIMES.try_with(RefCell::take).ok().and_then(AnswerTimes::of);
        let line = Line { name, capability, declared, answer, answered, took: start.elapsed() };
        (self.options.progress)(&line);
        self.ended.push(line);
    }
}

/// Policies and rules of the kit's sample of a kind.
fn sample(kind: PolicyKind) -> Value {
    let sample = samples::of(kind).into_iter().next();
    let endpoint = sample.and_then(|sample| sample.documents.component().pointer("/spec/endpoints/0").cloned());
    let mut fields = json!({"hostnames": ["sample.lab.example.com"]});
    for field in ["policies", "rules"] {
        if let Some(value) = endpoint.as_ref().and_then(|endpoint| endpoint.get(field)) {
            fields[field] = value.clone();
        }
    }
    fields
}

/// What the requests show of an endpoint with these fields, by the names of the differences that were accepted; they begin when the
/// host is served at that path, where there are any. Or its refusal.
async fn asked(
    scene: &Scene,
    fields: &Value,
    declared: bool,
    place: Option<(&str, &str)>,
    requests: impl AsyncFn(&[String]) -> Shown,
) -> Shown<Answer> {
    let result = match apply(scene, fields, declared).await {
        Ok(Applied::Refused(reason)) => Ok(Answer::Refused(reason)),
        Ok(Applied::Accepted(accepted)) => shown(scene, place, &accepted, || requests(&accepted)).await,
        Err(error) => Err(error),
    };
    with_usual_listeners(scene, fields, result).await
}

/// What came of an endpoint.
enum Applied {
    /// In force, with the differences that were accepted.
    Accepted(Vec<String>),
    /// Refused for that reason, and nothing was written.
    Refused(String),
}

/// Declared: applied. Not declared: refused, and nothing is written.
async fn apply(scene: &Scene, endpoint: &Value, declared: bool) -> Shown<Applied> {
    match (scene.compile(endpoint)?, declared) {
        (Compiled::Refused(reasons), _) => {
            if declared {
                return Err(format!("declared and refused: {}", reasons.join("; ")));
            }
            let before = scene.routes().await?;
            let refused = scene.apply(endpoint).await.is_err();
            let after = scene.routes().await?;
            scene::expect(refused && before == after, "refused and nothing written", &(refused, before, after))?;
            Ok(Applied::Refused(reasons.first().cloned().unwrap_or_default()))
        }
        (Compiled::Release { .. }, false) => Err("not declared, and a release came of it".to_owned()),
        (Compiled::Release { .. }, true) => scene.apply(endpoint).await.map(Applied::Accepted),
    }
}

/// A result after which the external visibility has its usual listeners again, where a case has asked for others.
async fn with_usual_listeners(scene: &Scene, fields: &Value, result: Shown<Answer>) -> Shown<Answer> {
    if fields.get("listeners").is_none() || matches!(result, Ok(Answer::Refused(_))) {
        return result;
    }
    const HOST: &str = "usual.lab.example.com";
    scene.apply(&json!({"hostnames": [HOST]})).await?;
    let served = || async {
        let answer = scene.get(HOST, "/").send().await.map_err(|error| error.to_string())?;
        scene::expect(answer.status == 200, "served at the usual listeners again", &answer)
    };
    scene::eventually(served).await?;
    result
}

/// What the requests have shown, once the host is served at that path, where there are any. A protected route is written closed and then opened, and a
/// gateway that applies changes late answers as if it were closed for so long: while the answer that was not expected is such a
/// one, the requests are made again. An answer of a backend is never asked for twice.
async fn shown<F: Future<Output = Shown>>(
    scene: &Scene,
    place: Option<(&str, &str)>,
    accepted: &[String],
    requests: impl Fn() -> F,
) -> Shown<Answer> {
    if let Some((host, path)) = place {
        scene.served_at(host, path).await?;
    }
    let start = Instant::now();
    let mut late = String::new();
    let text = loop {
        match requests().await {
            Ok(text) => break text,
            Err(error) if scene::CLOSED.try_with(Cell::get) == Ok(true) && start.elapsed() < scene::SETTLE => {
                late = format!("; closed for {:.1} s before: {error}", start.elapsed().as_secs_f32());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error),
        }
    };
    let accepted = if accepted.is_empty() { String::new() } else { format!(" (accepted: {})", accepted.join(", ")) };
    Ok(Answer::Shown(text + &late + &accepted))
}
