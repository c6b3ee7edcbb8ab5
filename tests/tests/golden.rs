//! Golden files: what each module makes of the examples. Review a change with `cargo insta review`.

use std::fmt::Write as _;

use gateway_modules::core::{channel::Channel, compile::Compiled, intent::load::Loader};

mod support;

/// Objects, refusals and what is needed, without the report, which has tests of its own.
fn text(compiled: &Compiled) -> serde_json::Value {
    let diagnostics: Vec<String> = compiled
        .diagnostics
        .0
        .iter()
        .map(|diagnostic| {
            format!("{} {} {}: {}", diagnostic.code, diagnostic.document, diagnostic.pointer, diagnostic.message)
        })
        .collect();
    let Some(release) = &compiled.release else { return serde_json::json!({ "refused": diagnostics }) };
    let policies: Vec<String> = release
        .policies
        .iter()
        .map(|policy| format!("{} {} on {}: {}", policy.binding, policy.kind, policy.rules.join(" "), policy.promise))
        .collect();
    serde_json::json!({
        "objects": release.objects.iter().map(|object| object.object.to_value()).collect::<Vec<_>>(),
        "contributions": release.contributions,
        "derivedSecrets": release.derived_secrets,
        "requires": release.requires,
        "security": policies,
        "warnings": diagnostics,
    })
}

#[test]
fn examples() {
    let registry = gateway_modules::registry().expect("no duplicates");
    let crds = gateway_modules::InstalledCrds::assumed(Channel::Standard);
    for folder in ["shop", "fixtures", "policies"] {
        let loaded = Loader::new().path(support::repository("examples/intents").join(folder)).finish();
        let mut intent = loaded.unwrap_or_else(|problems| panic!("{folder}: {problems}")).intent;
        // Policies: each endpoint by itself, since a refusal of one would hide the others.
        let parts = if folder == "policies" {
            std::mem::take(&mut intent.components).into_iter().map(|component| vec![component]).collect()
        } else {
            vec![std::mem::take(&mut intent.components)]
        };
        for (name, _) in registry.iter() {
            let mut golden = String::new();
            for components in &parts {
                let mut part = intent.clone();
                part.components.clone_from(components);
                let planes = gateway_modules::compile_for(&part, &registry, name, &crds);
                for plane in planes.unwrap_or_else(|problems| panic!("{folder}: {problems}")) {
                    if folder == "policies" && plane.plane.routes.is_empty() {
                        continue;
                    }
                    let what = components.first().filter(|_| parts.len() > 1).map(|one| one.metadata.name.to_string());
                    let title = what.unwrap_or_else(|| plane.plane.name.clone());
                    let yaml = serde_saphyr::to_string(&text(&plane.compiled)).expect("YAML");
                    write!(golden, "---\n# {title}\n{yaml}").expect("text");
                }
            }
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(format!("{folder}-{name}"), golden);
            });
        }
    }
}
