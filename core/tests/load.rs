//! Bad input to the loader: each with its code, its place and words that help.

#![allow(clippy::expect_used, clippy::panic, clippy::format_collect, clippy::format_push_string)]

use std::{fs, path::PathBuf, time::Instant};

use gateway_modules_core::{
    diagnostic::{Diagnostics, Origin, Severity},
    intent::{
        codes,
        load::{Loaded, Loader, MAX_INPUT_BYTES, load_paths, load_reader, load_str},
    },
};

const HEAD: &str = "apiVersion: gatewaymodules.dev/v1alpha1\n";

/// A component; the specification starts in line 5.
fn component(spec: &str) -> String {
    format!("{HEAD}kind: Component\nmetadata: {{ name: catalog, namespace: shop }}\nspec:\n{spec}")
}

/// A component with one endpoint; its fields start in line 6, column 7.
fn endpoint(fields: &str) -> String {
    let lines: String = fields.lines().map(|line| format!("      {line}\n")).collect();
    component(&format!("  endpoints:\n    - {}", lines.trim_start()))
}

/// An HTTP endpoint with policies, which start in line 11, column 9.
fn policies(policies: &str) -> String {
    let lines: String = policies.lines().map(|line| format!("  {line}\n")).collect();
    endpoint(&format!("name: api\ntype: HTTP\nport: 80\nvisibilities: [external]\npolicies:\n{lines}"))
}

fn data_plane(spec: &str) -> String {
    format!("{HEAD}kind: DataPlane\nmetadata: {{ name: main }}\nspec:\n{spec}")
}

fn errors(text: &str) -> Diagnostics {
    load_str("in.yaml", text).expect_err("an error")
}

/// `line:column code pointer` of each.
fn places(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics
        .0
        .iter()
        .map(|diagnostic| match &diagnostic.origin {
            Origin::File { line, column, .. } => {
                format!("{line}:{column} {} {}", diagnostic.code, diagnostic.pointer).trim_end().to_owned()
            }
            other => panic!("{other}"),
        })
        .collect()
}

/// One error at a place, with words in the message and in the help.
#[track_caller]
fn one(text: &str, place: &str, message: &str, help: &str) {
    let found = errors(text);
    assert_eq!(places(&found), [place], "\n{found}\n{text}");
    let diagnostic = &found.0[0];
    assert!(diagnostic.message.contains(message), "{found}");
    assert!(diagnostic.help.as_deref().unwrap_or_default().contains(help), "{found}");
    assert!(!format!("{found}").contains("[a-z0-9]"), "a pattern is shown: {found}");
    assert!(!diagnostic.message.contains('\n'), "{found}");
}

#[test]
fn yaml_that_cannot_be_read() {
    one("a: [1, 2", "1:4 GWM0104", "not valid YAML", "brackets");
    one("a:\n\tb: 1\n", "2:2 GWM0104", "not valid YAML", "tabs do not indent");
    one("a: *nope\n", "1:4 GWM0104", "not defined", "&name");
    one("a: &a [*a]\n", "1:8 GWM0104", "inside the value", "write the value out");
    one("a: b: c\n", "1:5 GWM0104", "not valid YAML", "quotes");
    one(&"[".repeat(100_000), "1:65 GWM0106", "deeper than 64", "brackets");
    one(&"- ".repeat(100_000), "1:129 GWM0106", "deeper than 64", "brackets");
}

#[test]
fn bytes_that_are_no_text() {
    let load = |bytes: &[u8]| load_reader("<stdin>", bytes).expect_err("an error");
    assert_eq!(places(&load(b"a: 1\nb: \xff\n")), ["2:4 GWM0103"]);
    assert_eq!(places(&load(b"a: \0\n")), ["1:4 GWM0103"]);
    assert_eq!(places(&load(b"\xff\xfea\0")), ["1:1 GWM0103"]);
    assert!(load(b"\xff\xfea\0").0[0].help.as_deref().is_some_and(|help| help.contains("UTF-8")));
}

#[test]
fn a_byte_order_mark_is_no_matter() {
    let text = format!("\u{feff}{}", endpoint("name: a\ntype: HTTP\nport: 80\nvisibilities: [external]"));
    assert_eq!(load_str("a", &text).expect("loads").intent.components.len(), 1);
}

#[test]
fn nothing_and_nothing_of_ours() {
    for text in ["", "\n\n", "---\n---\n", "# only words\n", "~\n"] {
        one(text, "1:1 GWM0108", "`in.yaml`", "gatewaymodules.dev/v1alpha1");
    }
    let found = load_paths(&[]).expect_err("an error");
    assert!(found.0[0].message.contains("no input was given"));
}

#[test]
fn documents_that_are_none() {
    one("a: 1\n", "1:1 GWM0109", "no `apiVersion` and no `kind`", "gatewaymodules.dev/v1alpha1");
    one("- 1\n", "1:1 GWM0109", "not a mapping", "apiVersion");
    one("just words\n", "1:1 GWM0109", "not a mapping", "apiVersion");
    one("kind: Component\n", "1:1 GWM0109", "no `apiVersion`", "apiVersion");
    one(&format!("{HEAD}kind: Componnt\n"), "2:7 GWM0110 /kind", "no kind `Componnt`", "did you mean `Component`?");
    one(
        "apiVersion: gatewaymodules.dev/v1\nkind: Component\n",
        "1:13 GWM0111 /apiVersion",
        "no version `v1`",
        "gatewaymodules.dev/v1alpha1",
    );
    let list = "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: gatewaymodules.dev/v1alpha1\n    kind: Component\n";
    one(list, "2:7 GWM0113 /kind", "holds intent documents", "---");
}

#[test]
fn documents_of_others_are_left_out_with_a_warning() {
    let ours = endpoint("name: a\ntype: HTTP\nport: 80\nvisibilities: [external]");
    // Duplicate keys, tags and merge keys of others are not our business.
    let other = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\na: !x 1\na: 2\n";
    let Loaded { intent, warnings } = load_str("in.yaml", &format!("{other}---\n{ours}")).expect("loads");
    assert_eq!(intent.components.len(), 1);
    assert_eq!(places(&warnings), ["1:13 GWM0112 /apiVersion"]);
    assert_eq!(warnings.0[0].severity, Severity::Warning);
    assert!(warnings.0[0].message.contains("Kustomization"));
    let alone = errors(other);
    assert_eq!(places(&alone), ["1:1 GWM0108", "1:13 GWM0112 /apiVersion"]);
    let near = errors("apiVersion: gatewaymodule.dev/v1alpha1\nkind: Component\n");
    assert!(
        near.0[1].help.as_deref().is_some_and(|help| help.contains("did you mean `gatewaymodules.dev`?")),
        "{near}"
    );
}

#[test]
fn features_of_yaml_that_mean_nothing_here() {
    let base = "name: a\ntype: HTTP\nport: 80\nvisibilities: [external]\n";
    one(&endpoint(&format!("{base}<<: {{}}")), "10:7 GWM0105 /spec/endpoints/0", "merge key", "alias");
    one(
        &endpoint(&format!("{base}port: 81")),
        "10:7 GWM0107 /spec/endpoints/0/port",
        "first at line 8 column 7",
        "keep one",
    );
    one(&endpoint(&format!("{base}[a]: b")), "10:7 GWM0105 /spec/endpoints/0", "must be text", "quotes");
    one(&endpoint(&base.replace("80", "!custom 80")), "8:21 GWM0105", "tag `!custom`", "remove the tag");
    let json = "{\"apiVersion\":\"a/v1\",\"kind\":\"X\",\"kind\":\"Y\"}";
    assert_eq!(errors(json).0[0].code, codes::NO_DOCUMENTS);
}

#[test]
fn anchors_work_and_bombs_do_not() {
    let text = endpoint("name: &n a\ntype: HTTP\nport: &p 80\nvisibilities: &v [external]")
        + "    - { name: b, type: HTTP, port: *p, visibilities: *v, service: *n }\n";
    let loaded = load_str("a", &text).expect("loads");
    assert_eq!(loaded.intent.components[0].spec.endpoints[1].port.get(), 80);
    let mut bomb = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{},", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", alias.repeat(9)));
    }
    let started = Instant::now();
    let found = errors(&bomb);
    assert!(started.elapsed().as_secs() < 5);
    assert_eq!(found.0[0].code, codes::BUDGET, "{found}");
    // Few nodes, much text.
    let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(5000));
    assert_eq!(errors(&wide).0[0].code, codes::BUDGET);
}

#[test]
fn large_inputs_are_refused_or_read_fast() {
    let started = Instant::now();
    let found = errors(&"# words\n".repeat(10 << 17));
    assert_eq!(places(&found), ["1:1 GWM0102"]);
    assert!(found.0[0].message.contains("5 MiB"));
    let wide = format!("{HEAD}kind: Component\n{}", (0..200_000).map(|n| format!("k{n}: 1\n")).collect::<String>());
    assert!(wide.len() < MAX_INPUT_BYTES);
    let found = errors(&wide);
    assert!(found.0.len() <= 202 && found.0.iter().any(|one| one.code == codes::MORE_ERRORS), "{}", found.0.len());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn fields_that_do_not_exist_or_are_missing() {
    one(
        &endpoint("name: a\ntype: HTTP\nport: 80\nvisibilites: [a]\nvisibilities: [external]"),
        "9:7 GWM0120 /spec/endpoints/0/visibilites",
        "no field `visibilites`",
        "did you mean `visibilities`?",
    );
    one(
        &endpoint("name: a\ntype: HTTP\nport: 80"),
        "6:7 GWM0121 /spec/endpoints/0",
        "lacks the required field `visibilities`",
        "add `visibilities",
    );
    one(&format!("{HEAD}kind: Component\nmetadata: {{ name: a }}\n"), "1:1 GWM0121", "`spec`", "add `spec: …`");
    one(
        &policies("rateLimits: {}"),
        "11:9 GWM0120 /spec/endpoints/0/policies/rateLimits",
        "no field",
        "did you mean `rateLimit`?",
    );
    one(
        &policies("loadBalancing: { algorithm: { random: { seed: 1 } } }"),
        "11:49 GWM0120 /spec/endpoints/0/policies/loadBalancing/algorithm/random/seed",
        "no field",
        "`{}`",
    );
}

#[test]
fn values_of_another_type() {
    let base = "name: a\ntype: HTTP\nport: 80\nvisibilities: [external]\n";
    one(
        &endpoint(&base.replace("80", "'80'")),
        "8:13 GWM0122 /spec/endpoints/0/port",
        "the text `80`",
        "80 without quotes",
    );
    one(
        &endpoint(&base.replace("[external]", "external")),
        "9:21 GWM0122 /spec/endpoints/0/visibilities",
        "a list",
        "[external]",
    );
    one(
        &endpoint(&format!("{base}subscriptions: yes")),
        "10:22 GWM0122 /spec/endpoints/0/subscriptions",
        "true or false",
        "write true",
    );
    one(&data_plane("  gateway: { version: 2.10 }"), "5:23 GWM0122 /spec/gateway/version", "number `2.10`", "\"2.10\"");
    one(
        &policies("timeouts: { request: 5 }"),
        "11:30 GWM0122 /spec/endpoints/0/policies/timeouts/request",
        "number `5`",
        "`500ms`",
    );
    one(&policies("jwt:"), "11:9 GWM0123 /spec/endpoints/0/policies/jwt", "no value", "remove the key");
    one(
        &endpoint(&format!("{base}service: ~")),
        "10:7 GWM0123 /spec/endpoints/0/service",
        "no value",
        "remove the key",
    );
    one(&endpoint(&base.replace("80", "80.5")), "8:13 GWM0122 /spec/endpoints/0/port", "80.5", "1 to 65535");
    one(&endpoint(&base.replace("80", "[80]")), "8:7 GWM0122 /spec/endpoints/0/port", "a list", "whole number");
}

#[test]
fn texts_numbers_and_choices_out_of_their_range() {
    let base = "name: a\ntype: HTTP\nport: 80\nvisibilities: [external]\n";
    one(&endpoint(&base.replace("80", "70000")), "8:13 GWM0125 /spec/endpoints/0/port", "70000", "1 to 65535");
    one(&endpoint(&base.replace("80", "-1")), "8:13 GWM0125 /spec/endpoints/0/port", "-1", "1 to 65535");
    one(
        &endpoint(&base.replace("80", "99999999999999999999999")),
        "8:13 GWM0125 /spec/endpoints/0/port",
        "out of range",
        "65535",
    );
    one(
        &endpoint(&base.replace("HTTP", "Http")),
        "7:13 GWM0126 /spec/endpoints/0/type",
        "`Http`",
        "did you mean `HTTP`?",
    );
    one(
        &endpoint(&base.replace("[external]", "[]")),
        "9:7 GWM0128 /spec/endpoints/0/visibilities",
        "0 items",
        "1 to 16",
    );
    one(
        &policies("timeouts: { request: 1d }"),
        "11:30 GWM0124 /spec/endpoints/0/policies/timeouts/request",
        "a duration",
        "`1m30s`",
    );
    one(
        &policies("bodySizeLimit: { max: 10MB }"),
        "11:31 GWM0124 /spec/endpoints/0/policies/bodySizeLimit/max",
        "a size in bytes",
        "`10Mi`",
    );
    one(
        &policies("bodySizeLimit: { max: 999999999999999Gi }"),
        "11:31 GWM0129 /spec/endpoints/0/policies/bodySizeLimit/max",
        "size",
        "",
    );
    one(
        &policies("ipAccess: { allow: [10.0.0.1] }"),
        "11:29 GWM0124 /spec/endpoints/0/policies/ipAccess/allow/0",
        "CIDR",
        "10.0.0.1/32",
    );
    one(
        &policies("cors: { allowOrigins: [example.com] }"),
        "11:32 GWM0124 /spec/endpoints/0/policies/cors/allowOrigins/0",
        "an origin",
        "https://app",
    );
    one(
        &policies("redirect: { statusCode: 300 }"),
        "11:33 GWM0126 /spec/endpoints/0/policies/redirect/statusCode",
        "300",
        "`308`",
    );
    one(
        &policies("retry: { attempts: 1, codes: [200] }"),
        "11:39 GWM0125 /spec/endpoints/0/policies/retry/codes/0",
        "200",
        "400 to 599",
    );
    one(
        &policies("loadBalancing: { algorithm: random }"),
        "11:37 GWM0122 /spec/endpoints/0/policies/loadBalancing/algorithm",
        "`random`",
        "`random: {}`",
    );
    one(
        &policies("loadBalancing: { algorithm: { rand: {} } }"),
        "11:39 GWM0120 /spec/endpoints/0/policies/loadBalancing/algorithm/rand",
        "`rand`",
        "did you mean",
    );
    one(
        &policies("loadBalancing: { algorithm: {} }"),
        "11:26 GWM0127 /spec/endpoints/0/policies/loadBalancing/algorithm",
        "none",
        "`roundRobin: {}`",
    );
    one(
        &policies("loadBalancing: { algorithm: { random: {}, roundRobin: {} } }"),
        "11:26 GWM0127 /spec/endpoints/0/policies/loadBalancing/algorithm",
        "at once",
        "keep one",
    );
    one(
        &policies("sessionAffinity: { cookie: { name: a, ttl: x } }"),
        "11:52 GWM0124 /spec/endpoints/0/policies/sessionAffinity/cookie/ttl",
        "a duration",
        "`30s`",
    );
}

#[test]
fn hostile_names_are_refused_and_shown_harmlessly() {
    let long = "a".repeat(300);
    for name in
        ["../etc", "a\\nb", "a'b", "é", "a b", "A", "-a", "\\u202Ea", "\\x1b[31m", "", "a/b", "$(id)", long.as_str()]
    {
        let text = endpoint(&format!("name: \"{name}\"\ntype: HTTP\nport: 80\nvisibilities: [external]"));
        one(&text, "6:13 GWM0124 /spec/endpoints/0/name", "not a DNS label", "`orders-api`");
        let shown = errors(&text).to_string();
        assert!(shown.len() < 600 && !shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    }
    let text = format!("{HEAD}kind: Component\nmetadata: {{ name: \"a\\n\\e[2J\" }}\nspec: {{}}\n");
    let found = errors(&text);
    assert_eq!(places(&found), ["3:19 GWM0124 /metadata/name", "4:1 GWM0121 /spec"]);
    assert!(!found.0[0].document.contains(['\n', '\u{1b}']));
    one(
        &format!(
            "{HEAD}\"a\\tb\": 1\nkind: Component\nmetadata: {{ name: a }}\nspec: {{ endpoints: [{{ name: a, type: HTTP, port: 1, visibilities: [external] }}] }}\n"
        ),
        "2:1 GWM0120 /a\tb",
        "`a\\u{9}b`",
        "the fields are",
    );
}

#[test]
fn keys_of_mappings_are_checked() {
    one(
        &data_plane("  visibilities: { External: {} }"),
        "5:19 GWM0124 /spec/visibilities/External",
        "a DNS label",
        "orders-api",
    );
    let long = "a".repeat(64);
    one(
        &data_plane(&format!("  visibilities: {{ {long}: {{}} }}")),
        &format!("5:19 GWM0124 /spec/visibilities/{long}"),
        "too long",
        "63",
    );
    one(
        &format!("{HEAD}kind: DataPlane\nmetadata: {{ name: a, labels: {{ a/b/c: x }} }}\nspec: {{}}\n"),
        "3:32 GWM0124 /metadata/labels/a~1b~1c",
        "not a label key",
        "app.kubernetes.io",
    );
    one(
        &data_plane("  visibilities: { a: { addresses: [{ ip: 300.1.1.1 }] } }"),
        "5:42 GWM0124 /spec/visibilities/a/addresses/0/ip",
        "IPv4",
        "203.0.113.7",
    );
}

#[test]
fn all_errors_of_all_documents_come_together() {
    let first = endpoint("name: A\ntype: HTP\nport: 0\nvisibilities: []\nx: 1");
    let second = data_plane("  gateway: { modul: kong }\n  acept: []\n");
    let found = errors(&format!("{first}---\n{second}---\nb: [\n---\n{HEAD}kind: Nope\n"));
    assert_eq!(
        places(&found),
        [
            "6:13 GWM0124 /spec/endpoints/0/name",
            "7:13 GWM0126 /spec/endpoints/0/type",
            "8:13 GWM0125 /spec/endpoints/0/port",
            "9:7 GWM0128 /spec/endpoints/0/visibilities",
            "10:7 GWM0120 /spec/endpoints/0/x",
            "16:14 GWM0120 /spec/gateway/modul",
            "17:3 GWM0120 /spec/acept",
            "19:4 GWM0104",
            "22:7 GWM0110 /kind",
        ],
        "{found}"
    );
    assert_eq!(found.0[0].document, "Component shop/catalog");
    assert_eq!(found.0[6].document, "DataPlane main");
}

#[test]
fn the_plain_text_of_a_diagnostic_says_it_all() {
    let found = errors(&endpoint("name: a\ntype: HTTP\nport: 80\nvisibilities: [external]\nbasepath: /a"));
    assert_eq!(
        found.to_string(),
        "in.yaml:10:7: Component shop/catalog /spec/endpoints/0/basepath: `endpoints[0]` has no field `basepath` [GWM0120]\n  \
         help: did you mean `basePath`? the fields are `accept`, `basePath`, `hostnames`, `listener`, `name`, `policies`, \
         `port`, `rules`, `service`, `subscriptions`, `type`, `visibilities`"
    );
}

/// A folder of its own for a test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gwm-load-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, text).expect("file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn folders_are_read_in_order_whatever_links_are_in_them() {
    let folder = Folder::new("order");
    let named =
        |name: &str| endpoint("name: a\ntype: HTTP\nport: 80\nvisibilities: [external]").replace("catalog", name);
    folder.write("b/one.yml", &named("two"));
    folder.write("a.yaml", &named("one"));
    folder.write(
        "c.json",
        &serde_json::to_string(&serde_json::json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component", "metadata": { "name": "three" },
            "spec": { "endpoints": [{ "name": "a", "type": "HTTP", "port": 80, "visibilities": ["external"] }] },
        }))
        .expect("json"),
    );
    folder.write("notes.txt", "not YAML: [");
    folder.write(".git/x.yaml", "not YAML: [");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&folder.0, folder.0.join("b/loop")).expect("link");
    let loaded = load_paths(std::slice::from_ref(&folder.0)).expect("loads");
    let read: Vec<_> = loaded.intent.components.iter().map(|one| one.metadata.name.as_str()).collect();
    assert_eq!(read, ["one", "two", "three"]);
    // A file that is given by name is read whatever its name.
    assert!(load_paths(&[folder.0.join("notes.txt")]).is_err());
}

#[test]
fn an_empty_folder_and_a_missing_file_are_named() {
    let folder = Folder::new("empty");
    let found = load_paths(std::slice::from_ref(&folder.0)).expect_err("an error");
    assert_eq!(found.0[0].code, codes::NO_DOCUMENTS);
    assert!(found.0[0].message.contains("gwm-load-"), "{found}");
    let found = load_paths(&[folder.0.join("nope.yaml")]).expect_err("an error");
    assert_eq!(places(&found), ["1:1 GWM0101"]);
    assert!(found.0[0].help.is_some());
}

#[test]
fn inputs_are_collected_before_anything_is_decided() {
    let plane = data_plane("  visibilities: { external: {} }\n");
    let ours = endpoint("name: a\ntype: HTTP\nport: 80\nvisibilities: [external]");
    let loaded = Loader::new().text("a", &ours).reader("<stdin>", plane.as_bytes()).finish().expect("loads");
    assert_eq!((loaded.intent.data_planes.len(), loaded.intent.components.len()), (1, 1));
    let found = Loader::new().text("a", "x: [").text("b", "y: [").finish().expect_err("errors");
    assert_eq!(found.0.len(), 2);
}
