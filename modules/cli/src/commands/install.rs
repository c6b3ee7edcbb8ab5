//! `gwm install`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::ValueEnum;
use gateway_modules::{
    InstalledCrds,
    core::{
        cluster::Cluster,
        installation::DefinitionChange,
        intent::Intent,
        module::{GatewayModule, ModuleVersion, Requirement},
        types::{LabelKey, LabelValue},
    },
};
use gateway_modules_installation::{
    ARGO_CD_NAMESPACE, Action, BackendSettings, HelmOptions, InstallError, InstallPlan, InstallRequest,
    InstallSettings, Progress, ReadyBackend, Record, State, install, manifests, plan,
};
use serde_json::Value;

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    commands::status::OptionalIntentArgs,
    exit::Failure,
    output::{self, Format},
};

/// Installs the gateway of a module, with everything that it needs. Doing it twice changes nothing; what was interrupted
/// goes on.
#[derive(Debug, clap::Args)]
#[command(
    // `--version` is the gateway's; that of gwm is `gwm --version`.
    disable_version_flag = true,
    after_help = "Examples:\n  gwm install kgateway\n  gwm install istio --version 1.30.3 --values istio.yaml --dry-run\n  gwm install traefik -f intents/ --charts ./charts --image-registry registry.example.com/mirror"
)]
pub(crate) struct Args {
    /// A module.
    module: String,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Take over releases and classes that somebody else has made.
    #[arg(long)]
    adopt: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// What carries an installation out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendName {
    /// The Helm program on this machine.
    Helm,
    /// Flux in the cluster: a source and a HelmRelease for each chart.
    Flux,
    /// Argo CD in the cluster: an Application for each chart.
    ArgoCd,
    /// Nobody: what would be written is printed.
    Manifests,
}

/// Which Helm, and how it reaches registries.
#[derive(Debug, clap::Args)]
pub(crate) struct BackendArgs {
    /// What carries it out; absent: what has installed it, else Helm.
    #[arg(long, value_enum)]
    pub(crate) backend: Option<BackendName>,
    /// The Helm program; absent: `helm` on the PATH.
    #[arg(long, value_name = "PATH", env = "GATEWAY_MODULES_HELM")]
    pub(crate) helm: Option<PathBuf>,
    /// Docker configuration with credentials of registries; absent: Helm's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_config: Option<PathBuf>,
    /// Authority that has signed the registry's certificate.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The registry speaks no TLS.
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Namespace of Argo CD's Applications.
    #[arg(long, default_value = ARGO_CD_NAMESPACE, value_name = "NAME")]
    argo_cd_namespace: String,
}

impl BackendArgs {
    /// Who carries it out; Helm as well, where charts are fetched by it.
    pub(crate) async fn find(&self, name: BackendName, cluster: &ClusterArgs) -> Result<ReadyBackend, Failure> {
        Ok(self.settings(name, cluster).ready(None).await?)
    }

    /// Who carries it out.
    pub(crate) fn settings(&self, name: BackendName, cluster: &ClusterArgs) -> BackendSettings {
        match name {
            BackendName::Flux => BackendSettings::Flux,
            BackendName::ArgoCd => BackendSettings::ArgoCd { namespace: self.argo_cd_namespace.clone() },
            BackendName::Helm | BackendName::Manifests => {
                let (kubeconfig, context) = cluster.kubeconfig();
                let mut options = HelmOptions::default();
                options.program.clone_from(&self.helm);
                options.kubeconfig = kubeconfig;
                options.context = context;
                options.registry_config.clone_from(&self.registry_config);
                options.ca_file.clone_from(&self.ca_file);
                options.plain_http = self.plain_http;
                BackendSettings::Helm(options)
            }
        }
    }

    /// The one that is named, else the one that is recorded, else Helm.
    pub(crate) fn name(&self, record: Option<&Record>) -> BackendName {
        let recorded = || record.and_then(|record| BackendName::from_str(&record.backend, true).ok());
        self.backend.or_else(recorded).unwrap_or(BackendName::Helm)
    }
}

/// Where charts and images are from, and what they are like, whatever is installed.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    /// Registry that has all charts under their own names.
    #[arg(long, value_name = "oci://…", conflicts_with = "charts")]
    registry: Option<String>,
    /// Folder with charts: `NAME-VERSION.tgz`, or unpacked as `NAME`.
    #[arg(long, value_name = "FOLDER")]
    charts: Option<PathBuf>,
    /// Digest that a chart must have: `CHART=sha256:…`. May be repeated.
    #[arg(long, value_name = "CHART=DIGEST")]
    digest: Vec<String>,
    /// Registry, with path, that has the images under the vendor's names.
    #[arg(long, value_name = "REGISTRY")]
    image_registry: Option<String>,
    /// Secret in the gateway's namespace with which images are pulled. May be repeated.
    #[arg(long, value_name = "NAME")]
    image_pull_secret: Vec<String>,
    /// Install although a chart does not know a value that the module sets.
    #[arg(long)]
    allow_unknown_values: bool,
    /// File of a release of Gateway API whose definitions may be installed; never over newer ones, nor another channel.
    #[arg(long, value_name = "FILE")]
    gateway_api: Vec<PathBuf>,
}

impl SourceArgs {
    /// What holds for every module.
    pub(crate) fn settings(&self) -> Result<InstallSettings, Failure> {
        let mut settings = InstallSettings::default();
        settings.charts.registry.clone_from(&self.registry);
        settings.charts.folder.clone_from(&self.charts);
        settings.charts.allow_unknown_values = self.allow_unknown_values;
        for entry in &self.digest {
            let (chart, digest) = entry
                .split_once('=')
                .filter(|(_, digest)| digest.starts_with("sha256:"))
                .ok_or_else(|| Failure::Usage(format!("--digest {entry}: write CHART=sha256:…")))?;
            settings.charts.digests.insert(chart.to_owned(), digest.to_owned());
        }
        settings.image_registry.clone_from(&self.image_registry);
        settings.image_pull_secrets.clone_from(&self.image_pull_secret);
        for path in &self.gateway_api {
            settings.gateway_api.extend(read_definitions(path)?);
        }
        Ok(settings)
    }
}

/// What install and upgrade share.
#[derive(Debug, clap::Args)]
pub(crate) struct HowArgs {
    /// Version of the gateway, as a line (`2.4`) or in full; absent: the one that the module assumes.
    #[arg(long = "version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Version of the main chart, where it is not the one that the module knows for the gateway's version.
    #[arg(long, value_name = "VERSION")]
    chart_version: Option<String>,
    /// Values over the module's own: a file for the main chart, or `CHART=FILE`. May be repeated.
    #[arg(long, value_name = "[CHART=]FILE")]
    values: Vec<String>,
    /// Label of the pods that carry requests, where the installation makes them: `KEY=VALUE`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pod_label: Vec<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// Drop values that the installed release has and that are not asked for now.
    #[arg(long)]
    reset_values: bool,
    /// Intents whose policies need values of the installation, which are set.
    #[command(flatten)]
    pub(crate) intent: OptionalIntentArgs,
    #[command(flatten)]
    pub(crate) backend: BackendArgs,
    /// Shows what would be done, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not wait until the gateway works.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until the gateway works, in seconds.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
}

impl HowArgs {
    /// What can be refused without a cluster is refused before one is asked: a module that is not installed this way, a version without
    /// a chart, a file that cannot be read.
    pub(crate) fn needs_no_cluster(&self, module: &dyn GatewayModule) -> Result<(), Failure> {
        let settings = self.settings()?;
        let options = settings.options(self.intent.channel.unwrap_or_default());
        let mut installation = module.installation(&self.version(module)?, &options).map_err(InstallError::from)?;
        installation.label_pods(&settings.pod_labels).map_err(InstallError::from)?;
        if let Some((_, reason)) = module.metadata().nearest_line(&installation.version) {
            output::note(&format!("warning: {reason}"));
        }
        Ok(())
    }

    fn version(&self, module: &dyn GatewayModule) -> Result<ModuleVersion, Failure> {
        ModuleVersion::new(self.version.as_deref().unwrap_or(module.metadata().default_version)).map_err(Failure::Usage)
    }

    fn settings(&self) -> Result<InstallSettings, Failure> {
        let mut settings = self.source.settings()?;
        settings.channel = self.intent.channel;
        settings.chart_version.clone_from(&self.chart_version);
        for entry in &self.values {
            let (chart, file) = entry.split_once('=').unwrap_or(("", entry));
            settings.values.insert(chart.to_owned(), (file.to_owned(), read_yaml(file)?));
        }
        for entry in &self.pod_label {
            let wrong = |reason: String| Failure::Usage(format!("--pod-label {entry}: {reason}"));
            let (key, value) = entry.split_once('=').ok_or_else(|| wrong("write KEY=VALUE".to_owned()))?;
            let key: LabelKey = key.parse().map_err(|error| wrong(format!("{error}")))?;
            let value: LabelValue = value.parse().map_err(|error| wrong(format!("{error}")))?;
            settings.pod_labels.insert(key.to_string(), value.to_string());
        }
        Ok(settings)
    }

    /// The intents of `-f`, read once: standard input has nothing a second time.
    pub(crate) fn intents(&self) -> Result<Option<Intent>, Failure> {
        if self.intent.filenames.is_empty() { Ok(None) } else { self.intent.required()?.load().map(Some) }
    }

    /// The CRDs that intents are compiled for.
    pub(crate) fn crds(&self) -> InstalledCrds {
        InstalledCrds::assumed(self.intent.channel.unwrap_or_default())
    }

    /// What is asked for, for one module and the intents of `-f`.
    pub(crate) async fn request(
        &self,
        cluster: &Cluster,
        module: Arc<dyn GatewayModule>,
        intent: Option<&Intent>,
    ) -> Result<InstallRequest, Failure> {
        let version = self.version(module.as_ref())?;
        let name = module.metadata().name;
        let mut request = self.settings()?.request(cluster, module, &version).await?;
        request.requirements = self.requirements(name, intent)?;
        request.reset_values = self.reset_values;
        Ok(request)
    }

    /// What the policies of the intents need, of the planes that are for this module.
    fn requirements(&self, module: &str, intent: Option<&Intent>) -> Result<Vec<Requirement>, Failure> {
        let Some(intent) = intent else { return Ok(Vec::new()) };
        let planes = gateway_modules::compile_offline(intent, &gateway_modules::registry()?, &self.crds())?;
        crate::input::stop_on_errors(&planes)?;
        let releases =
            planes.iter().filter(|plane| plane.module == module).filter_map(|plane| plane.compiled.release.as_ref());
        let mut all: Vec<Requirement> = releases.flat_map(|release| release.requires.clone()).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// How long to wait.
    pub(crate) fn wait(&self) -> Option<Duration> {
        (!self.no_wait).then(|| Duration::from_secs(self.timeout))
    }
}

pub(crate) fn read_yaml(path: &str) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::Usage(format!("{path}: {error}")))?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(&text).map_err(|error| Failure::Usage(format!("{path}: {error}")))
}

fn read_definitions(path: &PathBuf) -> Result<Vec<Value>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let documents = text.split("\n---").filter(|document| document.contains("kind: CustomResourceDefinition"));
    let read: Vec<Value> = documents
        .map(|document| serde_saphyr::from_str(document.trim_start_matches("---")).map_err(|error| failed(&error)))
        .collect::<Result<_, _>>()?;
    if read.is_empty() {
        return Err(failed(&"no CustomResourceDefinition in this file"));
    }
    Ok(read)
}

pub(crate) fn run(args: &Args) -> Run {
    block_on(async {
        let registry = gateway_modules::registry()?;
        let module = registry.get(&args.module)?;
        args.how.needs_no_cluster(module.as_ref())?;
        let cluster = args.cluster.connect(None).await?;
        let mut request = args.how.request(&cluster, module, args.how.intents()?.as_ref()).await?;
        request.adopt = args.adopt;
        carry_out(&cluster, &args.how, &args.cluster, &request, args.output).await
    })
}

/// Plans, shows, and carries out unless it is a dry run.
pub(crate) async fn carry_out(
    cluster: &Cluster,
    how: &HowArgs,
    cluster_args: &ClusterArgs,
    request: &InstallRequest,
    format: Format,
) -> Run {
    let record = Record::read(cluster, request.module.metadata().name).await?;
    let name = how.backend.name(record.as_ref());
    let ready = how.backend.find(name, cluster_args).await?;
    let backend = ready.backend.as_ref();
    let planned = plan(cluster, backend, ready.helm.as_ref(), request).await?;
    let warnings = planned.checks.iter().filter(|check| check.state != State::Holds && !check.blocks());
    for check in warnings {
        output::note(&format!("warning: {}: {}", check.name, check.message));
    }
    for need in &planned.by_hand {
        output::note(&format!(
            "to be done by hand, since no value of the chart decides it: {} = {} ({})",
            need.setting, need.value, need.reason
        ));
    }
    let git_ops = matches!(name, BackendName::Flux | BackendName::ArgoCd);
    let printed = name == BackendName::Manifests || (git_ops && how.dry_run && format == Format::Yaml);
    if printed {
        if !planned.refusals.is_empty() {
            return Err(InstallError::Refused(planned.refusals).into());
        }
        for object in manifests(backend, &planned)? {
            output::print(&format!("---\n{}", output::yaml(&object)?.trim_end()));
        }
        return Ok(());
    }
    if how.dry_run {
        if format == Format::Table {
            show(&planned)
        } else {
            output::data(&planned, format)?
        }
        return if planned.refusals.is_empty() { Ok(()) } else { Err(InstallError::Refused(planned.refusals).into()) };
    }
    let progress: Progress = Arc::new(output::note);
    let outcome = install(cluster, backend, &planned, how.wait(), &progress).await?;
    if format == Format::Table {
        let state = if how.wait().is_none() { "; nobody waited until it works: `gwm doctor` tells" } else { "" };
        let what = if planned.is_empty() { "is installed, nothing had to change" } else { "is installed" };
        output::print(&format!("{} {} {what}{state}", outcome.module, outcome.version));
    } else {
        output::data(&outcome, format)?;
    }
    Ok(())
}

fn show(planned: &InstallPlan) {
    let from = planned.from.as_ref().map(|from| format!(" (installed: {from})")).unwrap_or_default();
    output::print(&format!("{} {}{from}, by {}", planned.module, planned.version, planned.backend));
    for namespace in &planned.namespaces {
        output::print(&format!("create namespace {namespace}"));
    }
    for definition in &planned.definitions {
        let what = match &definition.change {
            DefinitionChange::Create => "create".to_owned(),
            DefinitionChange::Update => "update".to_owned(),
            DefinitionChange::Keep { reason } => format!("keep ({reason})"),
            DefinitionChange::Refuse { reason, .. } => format!("refuse ({reason})"),
        };
        output::print(&format!("{what} definition {}", definition.name));
    }
    for release in &planned.releases {
        let word = match release.action {
            Action::Install => "install",
            Action::Upgrade => "upgrade",
            Action::Mend => "mend",
            Action::Unchanged => "keep",
        };
        let chart = &release.chart;
        let place = release.fetched.as_ref().map_or_else(String::new, |fetched| {
            format!(
                " from {}{}",
                fetched.place,
                fetched.digest.as_ref().map(|digest| format!(" ({digest})")).unwrap_or_default()
            )
        });
        output::print(&format!(
            "{word} release {} in {}: chart {} {}{place}",
            chart.release, chart.namespace, chart.name, chart.version
        ));
        let rows = chart.values.iter().filter_map(|value| {
            let set = gateway_modules::core::installation::get_value(&release.values, value.path)?;
            Some([format!("  {}", value.path), set.to_string(), value.about.to_owned()])
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            output::print(&output::table(["  VALUE", "SET TO", "ABOUT"], rows));
        }
    }
    if let Some(class) = &planned.class {
        output::print(&format!("apply GatewayClass {}", class.name()));
    }
}
