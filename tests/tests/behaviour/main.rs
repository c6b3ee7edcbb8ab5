//! Behaviour of real gateways, shown by requests: `cargo xtask lab test`.
//!
//! For each policy kind: what the module declares must be seen, with its boundaries; what it does not declare must be
//! refused, and nothing reaches the cluster.

#![allow(missing_docs, clippy::print_stdout, unreachable_pub, clippy::indexing_slicing)]

mod cases;
mod scene;
mod traffic;

use std::{process::ExitCode, time::Instant};

use gateway_modules::core::{capability::CapabilityName, intent::policies::PolicyKind};
use gateway_modules_testkit::{
    lab::{
        self, Lab,
        gateways::{self, Stand},
    },
    samples,
};
use scene::{Compiled, Scene, Shown};
use serde_json::json;

/// One line of the table.
struct Row {
    name: String,
    declared: bool,
    result: Shown,
    seconds: f32,
}

fn main() -> ExitCode {
    let argument = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = argument("GATEWAY_MODULES_LAB").unwrap_or_else(|| "default".to_owned());
    let wanted = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect::<Vec<_>>();
    let only = argument("GATEWAY_MODULES_LAB_ONLY");
    let mut failed = false;
    let mut pages = String::new();
    for gateway in
        gateways::ALL.iter().filter(|gateway| wanted.is_empty() || wanted.iter().any(|it| it == gateway.module))
    {
        if let Stand::Absent(reason) = gateway.stand {
            println!("{} {}: skipped: {reason}", gateway.module, gateway.version);
            pages.push_str(&format!("## {} {}\n\nNot run here: {reason}.\n\n", gateway.module, gateway.version));
            continue;
        }
        let run = || -> Result<Vec<Row>, String> {
            let lab = Lab::attach(&name).map_err(|error| error.to_string())?;
            let kubeconfig = lab.kubeconfig().map_err(|error| error.to_string())?;
            let work = || async {
                let client = lab::client(kubeconfig).await.map_err(|error| error.to_string())?;
                let scene = Scene::new(client, gateway).await?;
                Ok::<_, String>(rows(&scene, only.as_deref()).await)
            };
            lab.run(work).map_err(|error| error.to_string())?
        };
        match run() {
            Ok(rows) => {
                let page = table(gateway, &rows);
                failed |= rows.is_empty() || rows.iter().any(|row| row.result.is_err());
                pages.push_str(&page);
            }
            Err(error) => {
                println!("{}: {error}", gateway.module);
                failed = true;
            }
        }
    }
    println!("\n{pages}");
    if let Some(path) = argument("GATEWAY_MODULES_LAB_PAGE") {
        let text = format!("{HEAD}{pages}");
        failed |= std::fs::write(path, text.trim_end().to_owned() + "\n").is_err();
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is shown besides the kinds.
const EXTRAS: [&str; 4] = ["internal endpoint", "ip-access under load", "basic-auth under load", "gateway killed"];

/// Starts what is seen of a kind that this stand cannot show.
const NOT_SHOWN: &str = "not shown here: ";

/// Policies and rules of the kit's sample of a kind.
fn sample(kind: PolicyKind) -> serde_json::Value {
    let sample = samples::of(kind).into_iter().next();
    let endpoint = sample.and_then(|sample| sample.documents.component().pointer("/spec/endpoints/0").cloned());
    let mut fields = json!({"hostnames": ["sample.lab.example.com"]});
    for field in ["policies", "rules"] {
        if let Some(value) = endpoint.as_ref().and_then(|endpoint| endpoint.get(field)) {
            fields[field] = value.clone();
        }
    }
    fields
}

const HEAD: &str = "# What real gateways were seen to do\n\n\
    Made by `cargo xtask lab test --write`; do not edit. Each line was shown by requests through a gateway that serves what the\n\
    pipeline (compile, plan, apply) has put into a real cluster. A kind that is not declared was refused and nothing was written.\n\n";

async fn rows(scene: &Scene, only: Option<&str>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, (kind, form, endpoint)) in cases::CASES.iter().enumerate() {
        let name = format!("{kind}, {form}");
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let start = Instant::now();
        let declared = scene.declared.has(&CapabilityName::policy(*kind));
        let host = format!("case{index}.lab.example.com");
        let mut fields = endpoint();
        fields["hostnames"] = json!([host]);
        let result = one(scene, *kind, form, &host, &fields, declared).await;
        push(&mut rows, name, declared, result, start);
    }
    let covered: Vec<PolicyKind> = cases::CASES.iter().map(|(kind, ..)| *kind).collect();
    for kind in PolicyKind::ALL.iter().filter(|kind| !covered.contains(kind)) {
        let name = format!("{kind}");
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let start = Instant::now();
        let declared = scene.declared.has(&CapabilityName::policy(*kind));
        let reason = scene.gateway.unshown.iter().find(|(own, _)| own == kind).map(|(_, reason)| *reason);
        let result = match (declared, reason) {
            (true, Some(reason)) => Ok(format!("{NOT_SHOWN}{reason}")),
            (true, None) => Err("declared, and neither shown nor among the limits of the stand".to_owned()),
            (false, _) => one(scene, *kind, "common", "", &sample(*kind), false).await,
        };
        push(&mut rows, name, declared, result, start);
    }
    for name in EXTRAS {
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let start = Instant::now();
        let result = match name {
            "internal endpoint" => traffic::internal(scene).await,
            "gateway killed" => traffic::killed(scene).await,
            "ip-access under load" => {
                let [one, two] = [json!({"allow": ["10.9.0.0/16"]}), json!({"allow": ["10.8.0.0/16"]})];
                traffic::security_policy(scene, "ipAccess", [one, two], "403").await
            }
            _ => {
                let policy = |realm: &str| json!({"credentials": {"name": "users"}, "realm": realm});
                traffic::security_policy(scene, "basicAuth", [policy("one"), policy("two")], "401").await
            }
        };
        push(&mut rows, name.to_owned(), true, result, start);
    }
    if let Err(error) = scene.clear().await {
        push(&mut rows, "everything taken away".to_owned(), true, Err(error), Instant::now());
    }
    rows
}

fn push(rows: &mut Vec<Row>, name: String, declared: bool, result: Shown, start: Instant) {
    let seconds = start.elapsed().as_secs_f32();
    let (mark, text) = match &result {
        Ok(text) => ("ok    ", text),
        Err(text) => ("FAILED", text),
    };
    println!("{mark} {name} ({seconds:.1} s): {text}");
    rows.push(Row { name, declared, result, seconds });
}

/// Declared: applied and shown. Not declared, or a form that the module refuses: nothing is written.
async fn one(
    scene: &Scene,
    kind: PolicyKind,
    form: &str,
    host: &str,
    endpoint: &serde_json::Value,
    declared: bool,
) -> Shown {
    match (scene.compile(endpoint)?, declared) {
        (Compiled::Refused(reasons), _) => {
            let form_only = declared && (kind, form) == (PolicyKind::IpAccess, "deny");
            if declared && !form_only {
                return Err(format!("declared and refused: {}", reasons.join("; ")));
            }
            let before = scene.routes().await?;
            let refused = scene.apply(endpoint).await.is_err();
            let after = scene.routes().await?;
            scene::expect(refused && before == after, "refused and nothing written", &(refused, before, after))?;
            Ok(format!("refused: {}", reasons.first().map_or("", String::as_str)))
        }
        (Compiled::Release { .. }, false) => Err("not declared, and a release came of it".to_owned()),
        (Compiled::Release { .. }, true) => {
            let accepted = scene.apply(endpoint).await?;
            let served = if kind == PolicyKind::UrlRewrite { "/v1" } else { "/" };
            scene.served_at(host, served).await?;
            let shown = cases::show(scene, kind, form, host).await?;
            Ok(if accepted.is_empty() { shown } else { format!("{shown} (accepted: {})", accepted.join(", ")) })
        }
    }
}

fn table(gateway: &gateways::Gateway, rows: &[Row]) -> String {
    let mut text = format!("## {} {}\n\n", gateway.module, gateway.version);
    for limit in gateway.limits {
        text.push_str(&format!("- limit of the stand: {limit}\n"));
    }
    text.push_str("\n| capability | declared | shown | seen |\n|---|---|---|---|\n");
    for row in rows {
        let (shown, seen) = match &row.result {
            Ok(text) if text.starts_with("refused: ") => ("refused", text),
            Ok(text) if text.starts_with(NOT_SHOWN) => ("not here", text),
            Ok(text) => ("yes", text),
            Err(text) => ("**no**", text),
        };
        let declared = if row.declared { "yes" } else { "no" };
        text.push_str(&format!("| {} | {declared} | {shown} | {} |\n", row.name, seen.replace('|', "\\|")));
    }
    let total: f32 = rows.iter().map(|row| row.seconds).sum();
    let count = |what: fn(&Row) -> bool| rows.iter().filter(|row| what(row)).count();
    let missing = count(|row| row.result.as_ref().is_ok_and(|text| text.starts_with(NOT_SHOWN)));
    let refused = count(|row| row.result.as_ref().is_ok_and(|text| text.starts_with("refused: ")));
    let failed = count(|row| row.result.is_err());
    let shown = rows.len() - missing - refused - failed;
    println!(
        "{} {}: {shown} shown, {refused} refused as they should be, {missing} not shown here, {failed} failed, {total:.0} s",
        gateway.module, gateway.version
    );
    text.push('\n');
    text
}
