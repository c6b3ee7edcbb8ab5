//! `gwm discover`.

use std::collections::BTreeMap;

use gateway_modules::{
    core::{
        channel::Channel,
        module::{ClusterReader, Fact, Installed, InstalledClass, ModuleVersion, Registry, Unread, controller_version},
        select::{Eligibility, Wanted, select, survey},
    },
    selectable,
};
use serde::Serialize;

use crate::{
    Run,
    cluster::{ClusterArgs, block_on},
    exit::Failure,
    output::{self, Format},
};

/// Shows what is installed in a cluster: classes and who serves them, versions, CRDs; which gateway a data plane that names
/// none would get, and why; and what could not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gwm discover\n  gwm discover -o json | jq '.choice'")]
pub(crate) struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    gateway_api: GatewayApi,
    classes: Vec<Class>,
    /// By module.
    controllers: BTreeMap<String, Fact<ModuleVersion>>,
    choice: Choice,
    unread: Vec<Unread>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GatewayApi {
    version: Fact<String>,
    channel: Fact<Channel>,
    /// Versions that are served, by kind; absent when they may not be read.
    served: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Serialize)]
struct Class {
    #[serde(flatten)]
    found: InstalledClass,
    eligibility: Eligibility,
    explanation: String,
}

/// What a plane that names no gateway and has no record would get.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Choice {
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    reason: String,
}

pub(crate) fn run(args: &Args) -> Run {
    let registry = gateway_modules::registry()?;
    let found = block_on(async {
        let reader = args.cluster.connect(None).await?.reader();
        find(&registry, &reader).await
    })?;
    if args.output != Format::Table {
        return output::data(&found, args.output);
    }
    let text = |fact: Option<String>, source: &str| fact.unwrap_or_else(|| format!("unknown ({source})"));
    let (version, channel) = (&found.gateway_api.version, &found.gateway_api.channel);
    output::print(&format!("Gateway API: {}", text(version.value.clone(), &version.source)));
    output::print(&format!("channel:     {}", text(channel.value.map(|value| value.to_string()), &channel.source)));
    for (module, version) in &found.controllers {
        let value = version.value.as_ref().map(ToString::to_string);
        let source = if value.is_some() { format!(" ({})", version.source) } else { String::new() };
        output::print(&format!("{module}: {}{source}", text(value, &version.source)));
    }
    let rows = found.classes.iter().map(|class| {
        let accepted = match class.found.accepted {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        let features = match class.found.features.len() {
            0 => "none published".to_owned(),
            number => number.to_string(),
        };
        [
            class.found.name.clone(),
            class.found.controller.clone(),
            accepted.to_owned(),
            features,
            class.explanation.clone(),
        ]
    });
    output::print(&output::table(["CLASS", "CONTROLLER", "ACCEPTED", "FEATURES", "USE"], rows));
    let choice = &found.choice;
    output::print(&match (&choice.module, &choice.class) {
        (Some(module), Some(class)) => {
            format!("a plane that names none gets {module}, class {class}: {}", choice.reason)
        }
        (Some(module), None) => format!("a plane that names none gets {module}: {}", choice.reason),
        (None, _) => format!("a plane that names none gets nothing: {}", choice.reason),
    });
    for unread in &found.unread {
        output::print(&format!("not read: {unread}"));
    }
    Ok(())
}

async fn find(registry: &Registry, reader: &dyn ClusterReader) -> Result<Found, Failure> {
    let failed = |error: gateway_modules::core::module::ReadError| Failure::Failed(error.to_string());
    let installed = Installed::read(reader).await.map_err(failed)?;
    let modules = selectable(registry);
    let mut unread = installed.unread();
    let mut controllers = BTreeMap::new();
    let classes: Vec<Class> = survey(&modules, &installed.classes)
        .into_iter()
        .map(|(found, eligibility)| Class { found, explanation: eligibility.to_string(), eligibility })
        .collect();
    let served = |name: &str| {
        classes.iter().any(|class| match &class.eligibility {
            Eligibility::Eligible { module } | Eligibility::NotAccepted { module } => module == name,
            _ => false,
        })
    };
    for (name, module) in
        registry.iter().filter(|(name, module)| served(name) && !module.controller_images().is_empty())
    {
        let namespace = module.metadata().default_namespace;
        let version = controller_version(module.controller_images(), namespace, reader).await.map_err(failed)?;
        if version.value.is_none() {
            unread.push(Unread {
                what: format!("version of {name}: {}", version.source),
                effect: format!(
                    "capabilities are those of the recorded version, else of {}; gateway.version says another",
                    module.metadata().default_version
                ),
            });
        }
        if let Some((nearest, reason)) = version.value.as_ref().and_then(|found| module.metadata().nearest_line(found))
        {
            unread.push(Unread {
                what: format!("a table of capabilities: {reason}"),
                effect: format!("capabilities are those of {nearest}; gateway.version says another"),
            });
        }
        controllers.insert(name.to_owned(), version);
    }
    let choice = match select(&modules, &installed.classes, Wanted::default(), None) {
        Ok(selected) => {
            Choice { module: Some(selected.module), class: selected.class, reason: selected.reason.to_string() }
        }
        Err(error) => Choice { module: None, class: None, reason: error.to_string() },
    };
    let definitions = &installed.definitions;
    let served = definitions
        .gateway_api()
        .map(|served| served.into_iter().map(|(kind, versions)| (kind.kind, versions.into_iter().collect())).collect());
    let gateway_api =
        GatewayApi { version: definitions.bundle_version.clone(), channel: definitions.channel.clone(), served };
    Ok(Found { gateway_api, classes, controllers, choice, unread })
}
