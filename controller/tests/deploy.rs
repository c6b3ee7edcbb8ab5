//! The files under `deploy/` are made from the types, the modules and their samples, and are not stale.
//!
//! `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-controller --test deploy` writes them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod emitted;
mod lab;

use std::{collections::BTreeSet, path::Path};

use gateway_modules::core::intent::crd::definitions;
use gateway_modules_controller::{
    CONDITIONS, Metrics,
    events::RULES,
    rbac::{cluster_rules, record_rules},
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const MADE: &str = "# Made by `GATEWAY_MODULES_UPDATE=1 cargo test -p gateway-modules-controller --test deploy`.\n";
const NAMESPACE: &str = "gateway-modules";
const NAME: &str = "gateway-modules-controller";

fn yaml(documents: &[Value]) -> String {
    let texts: Vec<String> = documents.iter().map(|document| serde_saphyr::to_string(document).unwrap()).collect();
    MADE.to_owned() + &texts.iter().map(|text| text.trim_end()).collect::<Vec<_>>().join("\n---\n") + "\n"
}

fn check(file: &str, text: &str) {
    let path = Path::new(DEPLOY).join(file);
    if std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "deploy/{file} is stale: make it again as its first line says");
}

/// The tables of `docs/controller.md` are those of the code.
#[test]
fn the_guide_is_not_stale() {
    let path = Path::new(DEPLOY).join("../docs/controller.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let before = text.clone();
    let mut conditions = "| Condition | On | `True` means | Besides |\n|---|---|---|---|\n".to_owned();
    for (name, kind, means, besides) in CONDITIONS {
        let on = if kind.is_empty() { "both" } else { kind };
        conditions += &format!("| `{name}` | {on} | {means} | {besides} |\n");
    }
    let mut events = "| Condition becomes | Event | Type |\n|---|---|---|\n".to_owned();
    for rule in RULES {
        let with = if rule.with.is_empty() { String::new() } else { format!(" with reason `{}`", rule.with) };
        let reason =
            if rule.reason.is_empty() { "the condition's reason".to_owned() } else { format!("`{}`", rule.reason) };
        let kind = if rule.warning { "Warning" } else { "Normal" };
        events += &format!("| `{}={}`{with} | {reason} | {kind} |\n", rule.condition, rule.status);
    }
    events += "| (the module or class of a plane changes) | `Switched` | Normal |\n";
    let rendered = Metrics::default().render();
    let mut metrics = "| Metric | Type | What it counts |\n|---|---|---|\n".to_owned();
    for help in rendered.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = help.split_once(' ').unwrap();
        let kind = rendered.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        metrics += &format!("| `{name}{suffix}` | {kind} | {} |\n", help.trim_end_matches('.'));
    }
    for (name, table) in [("conditions", conditions), ("events", events), ("metrics", metrics)] {
        let (head, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
        let (_, tail) = rest.split_once("<!-- end -->").unwrap();
        text = format!("{head}<!-- {name} -->\n{table}<!-- end -->{tail}");
    }
    if std::env::var_os("GATEWAY_MODULES_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    } else {
        assert_eq!(before, text, "docs/controller.md is stale: make it again as deploy/ is made");
    }
}

#[test]
fn definitions_are_not_stale() {
    for definition in definitions() {
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap().to_owned();
        check(&format!("crds/{plural}.yaml"), &yaml(std::slice::from_ref(&definition)));
        check(&format!("chart/crds/{plural}.yaml"), &yaml(&[definition]));
    }
}

/// The documents of the rights, for an account in a namespace.
fn rights(name: &str, namespace: &str, cluster: &[Value]) -> Vec<Value> {
    let binding = |kind: &str, role: &str, metadata: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        })
    };
    let role = |kind: &str, metadata: Value, rules: &[Value]| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules});
    let (everywhere, here) = (json!({"name": name}), json!({"name": name, "namespace": namespace}));
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here}),
        role("ClusterRole", everywhere.clone(), cluster),
        binding("ClusterRoleBinding", "ClusterRole", everywhere),
        role("Role", here.clone(), &record_rules()),
        binding("RoleBinding", "Role", here),
    ]
}

/// What lets the controller install gateways.
///
/// Charts bring ClusterRoles, webhooks and definitions of any kind, and Kubernetes lets nobody grant what he has not himself, so that
/// nothing less is enough for every gateway.
fn installation(name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": format!("{name}-installation")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    })
}

/// The rules that are about objects of tenants alone: a platform may give them in some namespaces only.
fn is_about_tenants(rule: &Value) -> bool {
    rule["apiGroups"] == json!([""]) && rule["resources"] != json!(["configmaps"])
}

/// The template of the chart: the same documents, with the rules about tenants either everywhere or in the given namespaces.
fn template(rules: &[Value]) -> String {
    let name = "{{ $.Release.Name }}-controller";
    let (tenants, others): (Vec<Value>, Vec<Value>) = rules.iter().cloned().partition(is_about_tenants);
    let text = |document: &Value| {
        // A name in braces is quoted as YAML, and is none to Helm.
        serde_saphyr::to_string(document)
            .unwrap()
            .trim_end()
            .replace("\"{{", "{{")
            .replace("}}\"", "}}")
            .replace("controller\"", "controller")
    };
    let mut documents: Vec<String> = rights(name, "{{ $.Release.Namespace }}", &others).iter().map(text).collect();
    let tenants = text(&Value::Array(tenants));
    documents[1] = format!("{}\n{{{{- if not $.Values.namespaces }}}}\n{tenants}\n{{{{- end }}}}", documents[1]);
    let of_tenant = rights(name, "{{ $.Release.Namespace }}", &[]);
    let mut role = of_tenant[3].clone();
    let mut binding = of_tenant[4].clone();
    for document in [&mut role, &mut binding] {
        document["metadata"] = json!({"name": "{{ $.Release.Name }}-controller-tenant", "namespace": "{{ . }}"});
    }
    binding["roleRef"]["name"] = "{{ $.Release.Name }}-controller-tenant".into();
    role.as_object_mut().unwrap().remove("rules");
    let tenant = |document: &Value| text(document).replace("tenant\"", "tenant");
    format!(
        "{MADE}{}\n{{{{- range $.Values.namespaces }}}}\n---\n{}\nrules:\n{tenants}\n---\n{}\n{{{{- end }}}}\n",
        documents.join("\n---\n"),
        tenant(&role),
        tenant(&binding),
    )
}

#[test]
fn rights_are_those_that_the_modules_need() {
    let rules = cluster_rules(&emitted::kinds());
    check("rbac.yaml", &yaml(&rights(NAME, NAMESPACE, &rules)));
    check("chart/templates/rbac.yaml", &template(&rules));
    check("installation.yaml", &yaml(&[installation(NAME, NAMESPACE)]));
    let bound = installation("{{ .Release.Name }}-controller", "{{ .Release.Namespace }}");
    let bound = serde_saphyr::to_string(&bound).unwrap().trim_end().replace("\"{{", "{{").replace("}}\"", "}}");
    let bound = bound.replace("controller\"", "controller").replace("installation\"", "installation");
    check(
        "chart/templates/installation.yaml",
        &format!("{MADE}{{{{- if .Values.installation.enabled }}}}\n{bound}\n{{{{- end }}}}\n"),
    );
}

/// What the project's own Helm makes of the chart.
async fn helm_template(values: &[&str]) -> Result<Vec<Value>, String> {
    let helm = tokio::task::spawn_blocking(gateway_modules_testkit::go::helm).await.unwrap().unwrap();
    let output = std::process::Command::new(helm)
        .args(["template", NAMESPACE, &format!("{DEPLOY}/chart"), "--namespace", NAMESPACE, "--include-crds"])
        .args(values.iter().flat_map(|value| ["--set", value]))
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(documents(&text))
}

fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let mut all: Vec<Value> = all.into_iter().filter(|document| !document.is_null()).collect();
    all.sort_by_key(|document| format!("{} {}", document["kind"], document["metadata"]));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_the_manifests_and_a_real_api_server_takes_it() {
    let Some(lab) = lab::Lab::start().await else { return };
    let manifests: String = ["controller.yaml", "rbac.yaml", "crds/components.yaml", "crds/dataplanes.yaml"]
        .map(|file| std::fs::read_to_string(Path::new(DEPLOY).join(file)).unwrap())
        .join("\n---\n");
    // Who installs a chart makes its namespace.
    let manifests: Vec<Value> =
        documents(&manifests).into_iter().filter(|document| document["kind"] != "Namespace").collect();
    let plain = helm_template(&[]).await.unwrap();
    assert_eq!(plain, manifests, "the chart without values is what lies beside it");

    for name in [NAMESPACE, "shop", "bank"] {
        // Some are there.
        let _ = gateway_modules_testkit::create_namespace(&lab.client, name).await;
    }
    let scoped = helm_template(&[
        "replicas=1",
        "image.repository=registry.example.com/gwm",
        "image.tag=1.2.3",
        "image.pullPolicy=Always",
        "image.pullSecrets={registry}",
        "namespaces={shop,bank}",
        "resources.limits.memory=1Gi",
        "options.installation=blue",
        "options.resync=60",
        "options.gateTimeout=0",
        "options.leaseDuration=30",
        "options.requestTimeout=5",
        "options.log=debug",
        "env[0].name=OTEL_EXPORTER_OTLP_ENDPOINT",
        "env[0].value=http://collector:4318",
        "podLabels.team=platform",
        "podAnnotations.note=x",
        "nodeSelector.disk=fast",
        "tolerations[0].operator=Exists",
    ])
    .await
    .unwrap();
    let installing = helm_template(&[
        "installation.enabled=true",
        "installation.backend=flux",
        "installation.args={--registry=oci://registry.example.com/charts}",
    ])
    .await
    .unwrap();
    let bound = std::fs::read_to_string(Path::new(DEPLOY).join("installation.yaml")).unwrap();
    assert!(installing.contains(&documents(&bound)[0]) && !plain.contains(&documents(&bound)[0]));
    let pod =
        installing.iter().find(|object| object["kind"] == "Deployment").unwrap()["spec"]["template"]["spec"].clone();
    assert_eq!(
        pod["containers"][0]["args"],
        json!([
            "controller",
            "--record-namespace=gateway-modules",
            "--backend=flux",
            "--registry=oci://registry.example.com/charts"
        ])
    );
    // Charts, values and Helm's own cache.
    assert_eq!(pod["containers"][0]["volumeMounts"], json!([{"name": "tmp", "mountPath": "/tmp"}]));
    let mut taken = 0;
    for object in plain.iter().chain(&scoped).chain(&installing) {
        let kind = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let api = lab.api(kind, object["metadata"]["namespace"].as_str()).await;
        let parameters = PatchParams { dry_run: true, ..PatchParams::apply("helm").validation_strict() };
        let name = object["metadata"]["name"].as_str().unwrap();
        let result = api.patch(name, &parameters.force(), &Patch::Apply(object)).await;
        assert!(result.is_ok(), "{object:#}\n{}", result.unwrap_err());
        taken += 1;
    }
    println!("{taken} objects taken");

    let find = |kind: &str| scoped.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    let deployment = find("Deployment")[0];
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(container["image"], "registry.example.com/gwm:1.2.3");
    assert_eq!(
        container["args"],
        json!([
            "controller",
            "--record-namespace=gateway-modules",
            "--installation=blue",
            "--resync=60",
            "--gate-timeout=0",
            "--lease-duration=30",
            "--request-timeout=5"
        ])
    );
    let variables: Vec<&Value> =
        container["env"].as_array().unwrap().iter().map(|variable| &variable["name"]).collect();
    assert_eq!(variables, ["POD_NAME", "GWM_LOG", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    assert_eq!(container["resources"]["limits"]["memory"], "1Gi");
    // Secrets and Services are those of two namespaces, and the rest is as it was.
    let rules = |object: &Value| object["rules"].as_array().cloned().unwrap();
    assert!(!rules(find("ClusterRole")[0]).iter().any(is_about_tenants));
    let roles = find("Role");
    let namespaces: BTreeSet<&str> = roles.iter().filter_map(|role| role["metadata"]["namespace"].as_str()).collect();
    assert_eq!(namespaces, BTreeSet::from(["shop", "bank", NAMESPACE]));
    for role in roles.iter().filter(|role| role["metadata"]["namespace"] != NAMESPACE) {
        assert!(rules(role).iter().all(is_about_tenants) && rules(role).len() == 2, "{role:#}");
    }

    // A value that nobody reads is an error.
    for wrong in ["replica=3", "image.tags=x", "options.resyncs=3", "options.leaseDuration=1"] {
        assert!(helm_template(&[wrong]).await.is_err(), "{wrong}");
    }
    lab.control_plane.stop().await.unwrap();
}
