//! Value paths that are said to be verified are in the vendor's own values file, read from its public Go module.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{collections::BTreeMap, fmt::Write as _, fs};

use gateway_module_cilium::Cilium;
use gateway_module_istio::Istio;
use gateway_module_kgateway::Kgateway;
use gateway_module_kong::Kong;
use gateway_module_nginx_gateway_fabric::NginxGatewayFabric;
use gateway_module_traefik::Traefik;
use gateway_modules_core::{
    channel::Channel,
    installation::{Installation, InstallationOptions, Known},
    module::{GatewayModule, ModuleVersion},
};
use gateway_modules_testkit::go;
use serde_json::Value;

fn installation(module: &dyn GatewayModule, version: &str, options: &InstallationOptions) -> Installation {
    module.installation(&ModuleVersion::new(version).unwrap(), options).unwrap()
}

#[test]
fn verified_paths_are_in_the_vendors_values_files() {
    let istio = go::module("istio.io/istio", "v0.0.0-20260827124520-eed52ebb66ad").unwrap();
    let cilium = go::module("github.com/cilium/cilium", "v1.20.2").unwrap();
    let options = InstallationOptions::default();
    let mut seen = 0;
    for (installation, file) in [
        (
            installation(&Istio::new(), "1.30", &options),
            istio.join("manifests/charts/istio-control/istio-discovery/values.yaml"),
        ),
        (installation(&Cilium::new(), "1.20", &options), cilium.join("install/kubernetes/cilium/values.yaml")),
    ] {
        let defaults: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut chart = installation.main_chart().unwrap().clone();
        for value in &mut chart.values {
            assert!(matches!(value.known, Known::Verified { .. }), "{}", value.path);
            // Those that are only documented are looked for as well.
            value.value = Some(Value::Null);
            seen += 1;
        }
        assert_eq!(chart.unknown_paths(&defaults), Vec::<&str>::new(), "{}", file.display());
        // The look itself finds what is not there.
        chart.values[0].path = "no.such.value";
        assert_eq!(chart.unknown_paths(&defaults), ["no.such.value"]);
    }
    assert!(seen >= 15, "{seen}");
}

/// All modules that are installed, each with a version whose chart is known.
fn modules() -> [(Box<dyn GatewayModule>, &'static str); 6] {
    [
        (Box::new(Cilium::new()), "1.20"),
        (Box::new(Istio::new()), "1.30"),
        (Box::new(Kgateway::new()), "2.4"),
        (Box::new(Kong::new()), "2.3"),
        (Box::new(NginxGatewayFabric::new()), "2.6"),
        (Box::new(Traefik::new()), "3.7"),
    ]
}

/// `GATEWAY_MODULES_UPDATE=1` writes the table anew.
#[test]
fn the_table_in_the_documentation_is_that_of_the_code() {
    let mut table = "| module | version | charts | value paths |\n|---|---|---|---|\n".to_owned();
    for (module, version) in modules() {
        let installation = installation(module.as_ref(), version, &InstallationOptions::default());
        let charts: Vec<_> =
            installation.charts.iter().map(|chart| format!("`{}` {}", chart.name, chart.version)).collect();
        let values: Vec<_> = installation.charts.iter().flat_map(|chart| &chart.values).collect();
        let unverified: Vec<_> = values
            .iter()
            .filter(|value| matches!(value.known, Known::Unverified { .. }))
            .map(|value| format!("`{}`", value.path))
            .collect();
        let verified = values.len() - unverified.len();
        let but = if unverified.is_empty() { String::new() } else { format!("; not {}", unverified.join(", ")) };
        writeln!(
            table,
            "| {} | {} | {} | {verified} of {} verified{but} |",
            module.metadata().name,
            installation.version,
            charts.join(", "),
            values.len()
        )
        .unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/installation.md");
    let text = fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once("<!-- table of installations -->\n").unwrap();
    let (written, after) = rest.split_once("<!-- end of table -->").unwrap();
    if written != table && std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() {
        let whole = format!("{before}<!-- table of installations -->\n{table}<!-- end of table -->{after}");
        return fs::write(path, whole).unwrap();
    }
    assert_eq!(written, table, "{path}: run this with GATEWAY_MODULES_UPDATE=1");
}

/// Labels become values where the pods that carry requests are a chart's, and are refused where each Gateway has its own.
#[test]
fn labels_of_pods_are_values_or_a_refusal() {
    let labels = BTreeMap::from([("team.example.com/name".to_owned(), "edge".to_owned())]);
    for (module, version) in modules() {
        let name = module.metadata().name;
        let mut declared = installation(module.as_ref(), version, &InstallationOptions::default());
        match declared.label_pods(&labels) {
            Ok(()) => {
                let chart = declared.main_chart().unwrap();
                let values = chart.set_values();
                for path in &chart.pod_labels {
                    let set = gateway_modules_core::installation::get_value(&values, path);
                    assert_eq!(set, Some(&serde_json::json!(labels)), "{name}: {path}");
                }
                assert!(["cilium", "traefik"].contains(&name) && !chart.pod_labels.is_empty(), "{name}");
            }
            Err(refusal) => {
                assert!(!["cilium", "traefik"].contains(&name) && refusal.next.contains("`visibilities`"), "{name}");
            }
        }
        assert!(declared.label_pods(&BTreeMap::new()).is_ok());
    }
}

#[test]
fn all_modules_declare_a_whole_installation() {
    let options = InstallationOptions::default()
        .with_channel(Channel::Experimental)
        .with_image_pull_secrets(vec!["mirror".to_owned()]);
    for (module, version) in modules() {
        let module = module.as_ref();
        let name = module.metadata().name;
        let installation = installation(module, version, &options);
        assert!(installation.post_checks.len() >= 3, "{name}");
        assert!(installation.namespaces().contains(module.metadata().default_namespace), "{name}");
        if let Some(class) = module.metadata().default_class {
            assert_eq!(installation.class.name(), class, "{name}");
        }
        let main = installation.main_chart().unwrap();
        // What the module sets itself has the types that it documents.
        for chart in &installation.charts {
            assert_eq!(chart.value_errors(&chart.set_values()), [], "{name}");
        }
        assert!(main.set_values().to_string().contains("mirror"), "{name}: {}", main.set_values());
        // A version that nobody knows is refused, and not guessed.
        let unknown = module.installation(&ModuleVersion::new("0.1").unwrap(), &options).unwrap_err();
        assert!(!unknown.next.is_empty(), "{name}");
    }
}
