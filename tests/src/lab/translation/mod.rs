//! What Cilium's operator makes of what the pipeline writes: conditions, and the configuration of Envoy.
//!
//! Cilium's Envoy and agent are in no public package registry, so nothing can be served, and no request is made here. The
//! operator's cells for Gateway API can be built from its Go module. They run as a process beside a control plane: the samples
//! of the policy kinds go through compile, plan and apply, and the conditions and the CiliumEnvoyConfig that the operator
//! writes are compared with what the policy means. That can refute a capability, and is no evidence of one (decision 0160).

mod envoy;
mod facts;
mod meaning;
mod report;
mod stage;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use gateway_modules_core::{
    capability::names::gateway_api as api,
    channel::Channel,
    compile::Release,
    intent::policies::PolicyKind,
    module::{GatewayModule, ModuleVersion},
    object::Object,
};
use serde_json::{Value, json};

pub use self::report::{Line, RESULTS, Translated, TranslationReport, files, page};
use self::{
    meaning::Meaning,
    stage::{CLASS, COMPONENTS, GATEWAY_API, GATEWAYS, Stage},
};
use crate::{
    Error,
    conformance::Settings,
    contract::Bench,
    go,
    samples::{self, Documents},
};

/// The module whose gateway this is about.
pub const MODULE: &str = "cilium";
/// The version of the operator.
pub const VERSION: &str = go::CILIUM_VERSION;

const LIMITS: &[&str] = &[
    "stand-in: the cells of Cilium's operator for Gateway API and for Secrets, with a main of this project; no agent, no Envoy, \
     no data path",
    "one constant of a Go module that is not served is this project's own (sigs.k8s.io/mcs-api/controllers)",
    "addresses of Services come from the test kit, as a cloud would give them",
];

/// How much is looked at, and who hears of it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Options<'a> {
    /// Only lines whose name contains this.
    pub only: Option<&'a str>,
    /// Told each line when it is there.
    pub progress: &'a (dyn Fn(&Line) + Send + Sync),
}

impl<'a> Options<'a> {
    /// Everything, told to `progress`.
    pub fn new(progress: &'a (dyn Fn(&Line) + Send + Sync)) -> Self {
        Self { only: None, progress }
    }

    /// Only lines whose name contains this.
    #[must_use]
    pub fn only(mut self, only: Option<&'a str>) -> Self {
        self.only = only;
        self
    }
}

/// What is looked at.
enum Subject {
    Features,
    Policy(PolicyKind, Documents),
    Expressions,
    Fact(&'static str),
}

struct Planned {
    name: String,
    channel: Channel,
    declared: Option<bool>,
    subject: Subject,
}

/// What is looked at, in its order: a declared kind in the first channel that has it, one that is not declared in the standard
/// channel, and the facts that the adapter rests on.
fn planned(module: &dyn GatewayModule) -> Result<Vec<Planned>, String> {
    let mut planned: Vec<Planned> = Vec::new();
    for channel in [Channel::Standard, Channel::Experimental] {
        let standard = channel == Channel::Standard;
        let other = |name: &str, subject| Planned { name: name.to_owned(), channel, declared: None, subject };
        if standard {
            planned.push(other("supportedFeatures of the class", Subject::Features));
            let compiled = bench(module, channel).compile(&with_expressions());
            let declared = compiled.map_err(|refused| refused.0.to_string())?.release.is_some();
            let line = other("regular expressions of path, header and query", Subject::Expressions);
            planned.push(Planned { declared: Some(declared), ..line });
        }
        for kind in PolicyKind::ALL {
            for sample in samples::of(*kind) {
                let name = if sample.form == "common" { kind.to_string() } else { sample.name() };
                let compiled = bench(module, channel).compile_accepting(&sample.documents);
                let declared = compiled.map_err(|refused| refused.0.to_string())?.0.release.is_some();
                let before = planned.iter().any(|line| line.name == name && line.declared == Some(true));
                if standard || (declared && !before) {
                    let subject = Subject::Policy(*kind, sample.documents);
                    planned.push(Planned { name, channel, declared: Some(declared), subject });
                }
            }
        }
        let facts = facts::ALL.iter().filter(|(_, experimental)| *experimental != standard);
        planned.extend(facts.map(|(name, _)| other(name, Subject::Fact(name))));
    }
    Ok(planned)
}

fn bench(module: &dyn GatewayModule, channel: Channel) -> Bench<'_> {
    Bench::new(module, VERSION, channel, serde_json::Map::new())
}

/// The lines that a report has as the module is now, without what came of them: name, channel, whether it is declared.
///
/// # Errors
/// A sample is no valid intent.
pub fn names(module: &dyn GatewayModule) -> Result<Vec<(String, String, Option<bool>)>, String> {
    Ok(planned(module)?.into_iter().map(|line| (line.name, line.channel.to_string(), line.declared)).collect())
}

/// Looks at everything, on a control plane for each channel. The first time on a machine it builds both programs, which takes
/// some twenty minutes on two cores.
///
/// # Errors
/// When a program cannot be had, or the control plane or the operator does not start.
pub async fn run(
    module: &Arc<dyn GatewayModule>,
    schemas: &Path,
    options: Options<'_>,
) -> Result<TranslationReport, Error> {
    let planned = planned(&**module).map_err(Error::Lab)?;
    let mut lines = Vec::new();
    for channel in [Channel::Standard, Channel::Experimental] {
        let wanted =
            |line: &&Planned| line.channel == channel && options.only.is_none_or(|only| line.name.contains(only));
        let wanted: Vec<&Planned> = planned.iter().filter(wanted).collect();
        if wanted.is_empty() {
            continue;
        }
        let stage = Stage::start(Arc::clone(module), schemas, channel).await?;
        for line in wanted {
            let answer = look(&stage, &line.subject).await.unwrap_or_else(Translated::Failed);
            let line = Line { name: line.name.clone(), channel: channel.to_string(), declared: line.declared, answer };
            (options.progress)(&line);
            lines.push(line);
        }
    }
    Ok(TranslationReport { module: MODULE.to_owned(), version: VERSION.to_owned(), limits: limits(), lines })
}

/// What the stand is not.
pub fn limits() -> Vec<String> {
    LIMITS.iter().map(|limit| (*limit).to_owned()).collect()
}

async fn look(stage: &Stage, subject: &Subject) -> Result<Translated, String> {
    match subject {
        Subject::Features => features(stage).await,
        Subject::Policy(kind, documents) => policy(stage, *kind, documents).await,
        Subject::Expressions => meant(stage, &with_expressions(), &meaning::of_expressions()).await,
        Subject::Fact(name) => {
            let seen = fact(stage, name).await;
            facts::clear(stage).await?;
            stage.clear(FACTS).await?;
            seen.map(|text| Translated::AsKnown(text.to_owned()))
        }
    }
}

/// Declared: applied, in force by its conditions, and translated to what it means. Not declared: refused, and nothing written.
async fn policy(stage: &Stage, kind: PolicyKind, documents: &Documents) -> Result<Translated, String> {
    let compiled = stage.compile(documents)?;
    if compiled.release.is_none() {
        let refusal = compiled.diagnostics.0.first().map(|diagnostic| diagnostic.message.clone());
        stage.nothing().await.map_err(|found| format!("refused, and there is {found}"))?;
        return refusal.map(Translated::Refused).ok_or_else(|| "no release, and no reason".to_owned());
    }
    let meaning = meaning::of(kind).ok_or("declared, and nobody says what Cilium makes of it")?;
    meant(stage, documents, &meaning).await
}

async fn meant(stage: &Stage, documents: &Documents, meaning: &Meaning) -> Result<Translated, String> {
    let release = release(stage, documents)?;
    let seen = async {
        stage.apply(&release).await?;
        let (gateway, host) = (gateway_of(&release)?, host_of(&release)?);
        let compared =
            async || envoy::compare(&envoy::of_host(&stage.envoy_config(&gateway).await?, &host)?, &meaning.at);
        stage.until(compared).await
    };
    let result = seen.await;
    stage.clear(&release.data_plane).await?;
    result.map(|()| Translated::AsMeant(meaning.says.to_owned()))
}

/// What the class publishes and the table has not, with the reason. Cilium publishes all features of the library but seven
/// (`operator/pkg/gateway-api/gatewayclass_status.go`).
const PUBLISHED: &[(&str, &str)] = &[
    ("GatewayFrontendClientCertificateValidationInsecureFallback", "Cilium's own conformance report denies it"),
    ("TLSRouteModeMixed", "Cilium's own conformance report denies it"),
    ("GRPCRouteNamedRouteRule", "declared by this project's name, field/GRPCRoute/rules.name"),
];

/// The features that the class publishes against those that the module declares for either channel, both ways.
async fn features(stage: &Stage) -> Result<Translated, String> {
    let class = stage.get(GATEWAY_API, "GatewayClass", None, CLASS).await?;
    let names =
        class.pointer("/status/supportedFeatures").and_then(Value::as_array).ok_or("the class publishes none")?;
    let published: BTreeSet<&str> = names.iter().filter_map(|feature| feature["name"].as_str()).collect();
    let (meshes, published): (BTreeSet<&str>, BTreeSet<&str>) =
        published.into_iter().partition(|name| name.starts_with("Mesh"));
    let table = stage.module.declared(&ModuleVersion::new(VERSION)?);
    let declared: BTreeSet<&str> = api::ALL.iter().filter(|name| table.has(name)).map(|name| name.as_str()).collect();
    let exceptions = Settings::read(include_str!("../../../conformance.yaml"))?.exceptions;
    let left_out = exceptions.iter().filter(|one| one.module == MODULE).map(|one| one.feature.as_str());
    let reasons: BTreeSet<&str> = PUBLISHED.iter().map(|(name, _)| *name).chain(left_out).collect();
    let more: BTreeSet<&str> = published.difference(&declared).copied().collect();
    let less: Vec<&str> = declared.difference(&published).copied().collect();
    if !less.is_empty() || more != reasons {
        return Err(format!(
            "declared and not published: {less:?}; published and not declared: {more:?}, and known are {reasons:?}"
        ));
    }
    Ok(Translated::AsKnown(format!(
        "{} published: {} as declared, {} of meshes, {} that the table leaves out with a reason ({})",
        published.len() + meshes.len(),
        declared.len(),
        meshes.len(),
        more.len(),
        more.into_iter().collect::<Vec<_>>().join(", "),
    )))
}

/// What the adapter rests on, shown by hand at a Gateway of the pipeline's.
async fn fact(stage: &Stage, name: &str) -> Result<&'static str, String> {
    let release = release(stage, &plain(&json!({})))?;
    stage.apply(&release).await?;
    facts::look(stage, &gateway_of(&release)?, name).await
}

/// Name of the plane of [`plain`].
const FACTS: &str = "facts";

/// A plane and an endpoint without policies, with the fields laid over the usual ones.
fn plain(fields: &Value) -> Documents {
    let document = |kind: &str, metadata: Value, spec: Value| json!({"apiVersion": "gatewaymodules.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    let listeners = json!([{"name": "http", "protocol": "HTTP", "port": 80}]);
    let visibility = json!({"namespace": GATEWAYS, "domain": "policies.example.com", "listeners": listeners});
    let plane = document("DataPlane", json!({"name": FACTS}), json!({"visibilities": {"external": visibility}}));
    let mut endpoint = json!({"name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"]});
    for (name, value) in fields.as_object().into_iter().flatten() {
        endpoint[name] = value.clone();
    }
    let metadata = json!({"name": "plain", "namespace": COMPONENTS});
    Documents::new(plane, document("Component", metadata, json!({"endpoints": [endpoint]})))
}

fn with_expressions() -> Documents {
    plain(&json!({"rules": [{"name": "expressions", "matches": [meaning::expressions()]}]}))
}

fn release(stage: &Stage, documents: &Documents) -> Result<Release, String> {
    let compiled = stage.compile(documents)?;
    compiled.release.ok_or_else(|| compiled.diagnostics.to_string())
}

fn of_kind<'a>(release: &'a Release, kind: &str) -> Result<&'a Object, String> {
    let mut objects = release.objects.iter().map(|object| &object.object);
    objects.find(|object| object.kind().kind == kind).ok_or_else(|| format!("the release has no {kind}"))
}

fn gateway_of(release: &Release) -> Result<String, String> {
    of_kind(release, "Gateway").map(|object| object.name().to_owned())
}

fn host_of(release: &Release) -> Result<String, String> {
    let host = of_kind(release, "HTTPRoute")?.pointer("/spec/hostnames/0").and_then(Value::as_str);
    host.map(ToOwned::to_owned).ok_or_else(|| "the route has no host".to_owned())
}
