//! Every capability table against the official conformance reports of its gateway.
#![allow(clippy::expect_used, clippy::panic)] // helpers of a test

use gateway_modules_testkit::conformance::{ConformanceReport, Difference, Settings, compare};

mod support;

#[test]
fn tables_agree_with_the_official_reports() {
    let Some(folder) = support::needed("GATEWAY_MODULES_CONFORMANCE", "conformance") else { return };
    let settings = Settings::read(include_str!("../conformance.yaml")).expect("settings");
    let registry = gateway_modules::registry().expect("registry");
    let checked = settings.check(&folder, &registry).unwrap_or_else(|error| panic!("{error}"));
    let mut wrong = Vec::new();
    for one in &checked {
        let report = &one.report;
        let of = format!("{} {} ({})", report.project, report.version, report.mode);
        match &one.module {
            None => println!("{of}: no module is compiled in"),
            Some(module) => {
                let (agreed, unreported) = (one.comparison.agreed.len(), one.comparison.unreported.len());
                println!(
                    "{of}: {module}: {agreed} agree, {unreported} not in the report, {} excepted",
                    one.excepted.len()
                );
                wrong.extend(one.comparison.differences.iter().map(|difference| format!("{of}: {difference}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let compared = checked.iter().filter(|one| one.module.is_some()).count();
    assert!(compared >= 4, "only {compared} reports have a module");
}

#[test]
fn a_wrong_table_is_found_either_way() {
    let registry = gateway_modules::registry().expect("registry");
    let module = registry.get("kgateway").expect("compiled in");
    let report = |supported: &str, unsupported: &str| {
        ConformanceReport::read(&format!(
            "
kind: ConformanceReport
gatewayAPIChannel: standard
gatewayAPIVersion: v1.6.1
implementation: {{ project: kgateway, version: v2.4.0 }}
profiles:
- name: GATEWAY-HTTP
  core: {{ result: success }}
  extended: {{ supportedFeatures: [{supported}], unsupportedFeatures: [{unsupported}] }}
"
        ))
        .expect("a report")
    };
    let features = |report| -> Vec<String> {
        let found = compare(&report, module.as_ref(), &serde_json::Map::new()).expect("compared");
        let text = |difference: &Difference| match difference {
            Difference::OverClaim(feature) => format!("over {feature}"),
            Difference::UnderClaim(feature) => format!("under {feature}"),
            other => format!("unknown {}", other.feature()),
        };
        found.differences.iter().map(text).collect()
    };
    assert_eq!(features(report("HTTPRouteCORS", "")), Vec::<String>::new());
    assert_eq!(features(report("", "HTTPRouteCORS")), ["over HTTPRouteCORS"]);
    assert_eq!(features(report("HTTPRouteRetry", "")), ["under HTTPRouteRetry"], "of the experimental channel only");
    assert_eq!(features(report("UDPRoute", "")), ["under UDPRoute"]);
    assert_eq!(features(report("HTTPRouteTeleport", "")), ["unknown HTTPRouteTeleport"]);
}
