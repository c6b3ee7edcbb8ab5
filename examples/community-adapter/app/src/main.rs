//! Compiles one intent for kgateway, which is built in, and for Envoy Gateway, which is not.

use std::{error::Error, process::ExitCode};

use gateway_modules::{InstalledCrds, Registry, compile_offline, core::intent::load::load_str};

const INTENT: &str = include_str!("../intent.yaml");

/// The modules of this application.
fn modules() -> Result<Registry, Box<dyn Error>> {
    let mut registry = gateway_modules::registry()?;
    gateway_module_envoy_gateway::register(&mut registry)?;
    Ok(registry)
}

/// Kinds and names of what the intent becomes on a module.
fn compile(module: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let loaded = load_str("intent.yaml", &INTENT.replace("MODULE", module)).map_err(|problems| problems.to_string())?;
    let mut objects = Vec::new();
    let planes = compile_offline(&loaded.intent, &modules()?, &InstalledCrds::default())
        .map_err(|problems| problems.to_string())?;
    for plane in planes {
        let release = plane.compiled.into_release().map_err(|problems| problems.to_string())?;
        objects.extend(release.objects.iter().map(|object| object.key().to_string()));
    }
    Ok(objects)
}

fn run() -> Result<(), Box<dyn Error>> {
    for module in ["kgateway", "envoy-gateway"] {
        println!("{module}");
        for object in compile(module)? {
            println!("  {object}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_intent_works_on_both() {
        let names = modules().expect("no duplicates").names();
        assert!(names.contains(&"envoy-gateway") && names.contains(&"kgateway"), "{names:?}");
        let objects = compile("envoy-gateway").expect("a release");
        for kind in ["SecurityPolicy", "BackendTrafficPolicy", "HTTPRoute"] {
            assert!(objects.iter().any(|object| object.contains(kind)), "{kind}: {objects:?}");
        }
        assert!(compile("kgateway").expect("a release").iter().any(|object| object.contains("TrafficPolicy")));
    }
}
