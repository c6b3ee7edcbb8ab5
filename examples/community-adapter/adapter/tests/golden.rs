//! Golden files: what becomes of the samples of the test kit. Review a change with `cargo insta review`.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // helpers of a test

use gateway_module_envoy_gateway::EnvoyGatewayAdapter;
use gateway_modules_core::channel::Channel;
use gateway_modules_testkit::{contract::Bench, samples};
use serde_json::{Value, json};

mod support;

#[test]
fn samples_become_these_objects() {
    let module = EnvoyGatewayAdapter::new();
    let bench = Bench::new(&module, "1.7", Channel::Standard, support::all_options());
    let mut golden = String::new();
    for sample in samples::all() {
        let (compiled, _) = bench.compile_accepting(&sample.documents).expect("a valid sample");
        let text: Value = match &compiled.release {
            None => {
                let reasons = compiled.diagnostics.0.iter();
                json!({ "refused": reasons.map(|it| format!("{}: {}", it.pointer, it.message)).collect::<Vec<_>>() })
            }
            Some(release) => json!({
                "objects": release.objects.iter().map(|object| object.object.to_value()).collect::<Vec<_>>(),
                "derivedSecrets": release.derived_secrets,
                "requires": release.requires,
                "security": release.policies.iter().map(|it| format!("{}: {}", it.kind, it.promise)).collect::<Vec<_>>(),
            }),
        };
        golden += &format!("---\n# {}\n{}", sample.name(), serde_saphyr::to_string(&text).expect("YAML"));
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("samples", golden);
    });
}
