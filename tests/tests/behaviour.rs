//! Behaviour of real gateways, shown by requests: `cargo xtask lab test` gives it a lab in which they run.

#![allow(clippy::print_stdout)] // the answer of the command

use std::{path::Path, process::ExitCode};

use gateway_modules_testkit::{
    Error,
    behaviour::{self, BehaviourReport, Options, Shard},
    lab::{
        self, AnyCluster, ClusterProvider, Lab,
        gateways::{self, Gateway},
    },
};

fn main() -> ExitCode {
    let argument = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let cluster = match cluster(argument("GATEWAY_MODULES_LAB_KUBECONFIG"), argument("GATEWAY_MODULES_LAB")) {
        Ok(cluster) => cluster,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let only = argument("GATEWAY_MODULES_LAB_ONLY");
    let shard = match argument("GATEWAY_MODULES_LAB_SHARD").map(|text| text.parse::<Shard>()).transpose() {
        Ok(shard) => shard,
        Err(error) => {
            println!("GATEWAY_MODULES_LAB_SHARD: {error}");
            return ExitCode::FAILURE;
        }
    };
    let options =
        Options::default().with_only(only.as_deref()).with_shard(shard).with_progress(&|line| println!("{line}"));
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let mut reports = Vec::new();
    let mut failed = false;
    for gateway in gateways::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == gateway.module) {
            continue;
        }
        let gateway = gateways::find_for(&*cluster, gateway.module).unwrap_or(gateway);
        match ask(&*cluster, gateway, &options) {
            Ok(report) => {
                println!("{report}\n");
                failed |= report.absent.is_none() && !report.passes();
                reports.push(report);
            }
            Err(error) => {
                println!("{}: {error}", gateway.module);
                failed = true;
            }
        }
    }
    println!("{}", behaviour::page(&reports));
    if let Some(root) = argument("GATEWAY_MODULES_LAB_WRITE").filter(|_| !failed)
        && let Err(error) = write(Path::new(&root), reports)
    {
        println!("{error}");
        failed = true;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Puts the reports among those that the repository has, and makes again what is made of them.
fn write(root: &Path, reports: Vec<BehaviourReport>) -> Result<(), String> {
    let path = root.join(behaviour::RESULTS);
    let mut all: Vec<BehaviourReport> = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?,
        Err(_) => Vec::new(),
    };
    // Those that cannot run need no run to be told.
    for report in gateways::ALL.iter().filter_map(BehaviourReport::absent).chain(reports) {
        all.retain(|other| other.module != report.module);
        all.push(report);
    }
    let place = |report: &BehaviourReport| gateways::ALL.iter().position(|gateway| gateway.module == report.module);
    all.retain(|report| place(report).is_some());
    all.sort_by_key(place);
    for (path, text) in behaviour::files(&all).map_err(|error| error.to_string())? {
        std::fs::write(root.join(&path), text).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// Any cluster of a file, or the lab of a name.
fn cluster(file: Option<String>, lab: Option<String>) -> Result<Box<dyn ClusterProvider>, Error> {
    Ok(match file {
        Some(file) => Box::new(AnyCluster { file: file.into() }),
        None => Box::new(Lab::attach(lab.as_deref().unwrap_or("default"))?),
    })
}

fn ask(
    cluster: &dyn ClusterProvider,
    gateway: &'static Gateway,
    options: &Options<'_>,
) -> Result<BehaviourReport, String> {
    if let Some(absent) = BehaviourReport::absent(gateway) {
        return Ok(absent);
    }
    let registry = gateway_modules::registry().map_err(|error| error.to_string())?;
    let module = registry.get(gateway.module).map_err(|error| error.to_string())?;
    let asked = || {
        let kubeconfig = cluster.kubeconfig()?;
        lab::run_in(cluster, || async {
            Box::pin(behaviour::run(lab::client(kubeconfig).await?, module, gateway, options)).await
        })?
    };
    asked().map_err(|error: Error| error.to_string())
}
