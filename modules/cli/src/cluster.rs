//! Arguments that the commands with a cluster share, and the way from a data plane to its cluster.

use std::{future::Future, path::PathBuf, time::Duration};

use clap::Args;
use gateway_modules::{
    ChosenPlane, compile_installed,
    core::{
        cluster::{Cluster, ClusterOptions},
        intent::{ClusterReference, DataPlane, Install, Intent},
        resolve::{DataPlaneTopology, resolve},
    },
};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::{
    exit::Failure,
    input::{self, IntentArgs},
    output,
};

/// Which cluster, and under which name.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Kubeconfig. Absent: `KUBECONFIG`, `~/.kube/config`, or the service account of the pod.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; a data plane's own `cluster.context` comes first.
    #[arg(long)]
    context: Option<String>,
    /// Name of this installation; several may share a cluster without touching each other's objects.
    #[arg(long, default_value = "default", env = "GATEWAY_MODULES_INSTALLATION")]
    installation: String,
    /// Namespace in which it is recorded what was applied; it must exist.
    #[arg(long, default_value = "default", env = "GATEWAY_MODULES_NAMESPACE")]
    record_namespace: String,
    /// For one request to the API server, in seconds.
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    request_timeout: u64,
}

impl ClusterArgs {
    /// The cluster of a context, or the current one.
    pub(crate) async fn connect(&self, context: Option<&str>) -> Result<Cluster, Failure> {
        Ok(Cluster::new(self.client(context).await?, self.options()))
    }

    /// How the cluster is spoken to.
    pub(crate) fn options(&self) -> ClusterOptions {
        let request = Duration::from_secs(self.request_timeout.max(1));
        ClusterOptions::default()
            .with_installation(self.installation.clone())
            .with_namespace(self.record_namespace.clone())
            .with_timeouts(request, request * 4)
    }

    /// Namespace in which it is recorded what was applied.
    pub(crate) fn record_namespace(&self) -> &str {
        &self.record_namespace
    }

    /// Name of this installation.
    pub(crate) fn installation(&self) -> &str {
        &self.installation
    }

    /// The kubeconfig and its context, for programs that make their own connection.
    pub(crate) fn kubeconfig(&self) -> (Option<PathBuf>, Option<String>) {
        (self.kubeconfig.clone(), self.context.clone())
    }

    /// A client of a context, or of the current one.
    pub(crate) async fn client(&self, context: Option<&str>) -> Result<kube::Client, Failure> {
        let options = KubeConfigOptions {
            context: context.map(ToOwned::to_owned).or_else(|| self.context.clone()),
            ..KubeConfigOptions::default()
        };
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Failed(format!("{error}; name a kubeconfig with --kubeconfig, and a context with --context"))
        };
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(&error))?;
                kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(&error))?
            }
            None if options.context.is_some() => {
                kube::Config::from_kubeconfig(&options).await.map_err(|error| failed(&error))?
            }
            None => kube::Config::infer().await.map_err(|error| failed(&error))?,
        };
        // Without it, a watch whose answer never comes would be waited for until the end. The server ends one after 290 s.
        config.connect_timeout = config.connect_timeout.or(Some(Duration::from_secs(10)));
        config.read_timeout = config.read_timeout.or(Some(Duration::from_secs(295)));
        kube::Client::try_from(config).map_err(|error| failed(&error))
    }

    /// Every data plane of the intents, compiled for what is installed in its cluster and recorded there.
    pub(crate) async fn compile(&self, args: &IntentArgs) -> Result<Vec<(Cluster, ChosenPlane)>, Failure> {
        let intent = args.load()?;
        let registry = gateway_modules::registry()?;
        let mut planes = Vec::new();
        for context in contexts(&intent)? {
            let cluster = self.connect(context.as_deref()).await?;
            let here =
                |plane: &DataPlaneTopology| matches!(context_of_plane(&intent, &plane.name), Ok(of) if of == context);
            let chosen = compile_installed(&intent, &registry, &cluster, args.channel, here).await?;
            planes.extend(chosen.into_iter().map(|plane| (cluster.clone(), plane)));
        }
        for (_, plane) in &planes {
            let name = &plane.compiled.plane.name;
            // Where the class is missing, the plan says so too, if it is missed.
            if let Some(degraded) = plane.target.selected.degraded.as_ref().filter(|degraded| !degraded.stops_writes())
            {
                output::note(&format!("warning: data plane {name}: {degraded}"));
            }
            if plane.compiled.plane.gateway.install == Install::Managed {
                output::note(&format!(
                    "note: data plane {name}: `gateway.install: managed` is for the controller, and nothing is installed here: \
                     `gwm install {} -f …` does what it would do",
                    plane.compiled.module
                ));
            }
            for note in &plane.target.selected.notes {
                output::note(&format!("note: data plane {name}: {note}"));
            }
        }
        input::stop_on_errors(planes.iter().map(|(_, plane)| &plane.compiled))?;
        Ok(planes)
    }

    /// The names of the data planes of the intents, each with its cluster.
    pub(crate) async fn names(&self, args: &IntentArgs) -> Result<Vec<(Cluster, String)>, Failure> {
        let intent = args.load()?;
        let mut names = Vec::new();
        for plane in resolve(&intent)? {
            let cluster = self.connect(context_of_plane(&intent, &plane.name)?.as_deref()).await?;
            names.push((cluster, plane.name));
        }
        Ok(names)
    }
}

/// The contexts of the planes of an intent; the current one where there is no plane.
fn contexts(intent: &Intent) -> Result<Vec<Option<String>>, Failure> {
    let mut contexts: Vec<Option<String>> = intent.data_planes.iter().map(context_of).collect::<Result<_, _>>()?;
    contexts.sort();
    contexts.dedup();
    if contexts.is_empty() {
        contexts.push(None);
    }
    Ok(contexts)
}

fn context_of(plane: &DataPlane) -> Result<Option<String>, Failure> {
    match &plane.spec.cluster {
        None => Ok(None),
        Some(ClusterReference::Context(context)) => Ok(Some(context.to_string())),
        Some(ClusterReference::KubeconfigSecret(secret)) => Err(Failure::Failed(format!(
            "DataPlane {} names its cluster by Secret {}, which the controller reads; on the command line write `cluster: {{context: …}}`",
            plane.metadata.name, secret.name
        ))),
    }
}

fn context_of_plane(intent: &Intent, name: &str) -> Result<Option<String>, Failure> {
    let plane = intent.data_planes.iter().find(|plane| plane.metadata.name.as_str() == name);
    plane.map_or(Ok(None), context_of)
}

/// Runs the asynchronous part of a command; Ctrl-C ends it, and the next apply or delete completes what was begun.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Err(Failure::Failed("interrupted; the next apply or delete completes what was begun".to_owned())),
        }
    })
}
