//! Plans against live objects as an API server returns them, with their managed fields.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    channel::Channel,
    compile::{CLOSED_BACKEND, ClosedForm, Gate, GatePolicy, ModuleUse, Phase, Release, ReleaseObject, Role},
    intent::{DocumentId, FieldRef, policies::PolicyKind},
    module::{Acknowledgement, Contribution, ContributionValue, DerivedSecret, ModuleVersion, SecretTransform},
    object::{GroupVersionKind, Object, ObjectKey},
    resolve::Binding,
};

const ROUTE: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute");
const GATEWAY: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "Gateway");
const POLICY: GroupVersionKind = GroupVersionKind::of("example.com", "v1", "Policy");
const SERVICE: GroupVersionKind = GroupVersionKind::of("", "v1", "Service");

fn sets() -> (SetIdentity, SetIdentity) {
    (SetIdentity::of_plane("default", "gw", "prod", "kgateway"), SetIdentity::shared("default", "gw"))
}

fn release(objects: Vec<ReleaseObject>) -> Release {
    let module = ModuleUse {
        name: "kgateway".into(),
        version: ModuleVersion::new("2.4").expect("version"),
        class: "kgateway".into(),
        controller: None,
        channel: Channel::Standard,
        assumptions: Vec::new(),
    };
    let mut release = Release::new("prod", module);
    release.objects = objects;
    release
}

fn entry(object: Object, phase: Phase, role: Role) -> ReleaseObject {
    ReleaseObject { object, phase, role, owners: BTreeSet::new(), gate: None }
}

fn gateway(port: u16) -> ReleaseObject {
    let spec =
        json!({"gatewayClassName": "kgateway", "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}]});
    let role = Role::Gateway { visibility: "external".into() };
    entry(Object::new(&GATEWAY, Some("gw"), "gw").with_spec(spec), Phase::Gateways, role)
}

fn route(name: &str) -> ReleaseObject {
    let binding = Binding {
        namespace: "shop".into(),
        component: "catalog".into(),
        endpoint: name.into(),
        visibility: "external".into(),
    };
    let spec = json!({"parentRefs": [{"name": "gw"}], "hostnames": ["a.example.com"], "rules": [{"backendRefs": [{"name": "b", "port": 80}]}]});
    entry(Object::new(&ROUTE, Some("shop"), name).with_spec(spec), Phase::Routes, Role::Route { binding })
}

fn policy(name: &str, level: u32) -> ReleaseObject {
    let object = Object::new(&POLICY, Some("shop"), name).with_spec(json!({"level": level}));
    entry(object, Phase::Policies, Role::Policy { kinds: vec![PolicyKind::Jwt] })
}

fn gated(name: &str, policies: &[&str]) -> ReleaseObject {
    let mut entry = route(name);
    let mut closed = entry.object.clone();
    *closed.pointer_mut("/spec/rules/0/backendRefs/0/name").expect("backend") = json!(CLOSED_BACKEND);
    let policies = policies
        .iter()
        .map(|name| GatePolicy {
            kind: PolicyKind::Jwt,
            object: ObjectKey { kind: POLICY, namespace: Some("shop".into()), name: (*name).to_owned() },
            controller: "example.com/c".into(),
            acknowledgement: Acknowledgement::PolicyAncestors,
        })
        .collect();
    entry.gate = Some(Gate { closed: ClosedForm(closed), policies });
    entry
}

/// Atomic lists of Gateway API, as the API server reports them: one leaf.
const ATOMIC: [&str; 4] = ["rules", "hostnames", "parentRefs", "addresses"];

fn fields(value: &Value, top: bool) -> Value {
    let Some(map) = value.as_object() else { return json!({}) };
    let mut set = serde_json::Map::new();
    for (name, value) in map {
        if top && matches!(name.as_str(), "apiVersion" | "kind")
            || matches!(name.as_str(), "name" | "namespace") && map.len() == 2
        {
            continue;
        }
        let below = match value {
            Value::Array(items) if !ATOMIC.contains(&name.as_str()) => {
                let items = items.iter().map(|item| {
                    let mut below = fields(item, false);
                    below["."] = json!({});
                    below["f:name"] = json!({});
                    (format!("k:{}", json!({"name": item["name"]})), below)
                });
                Value::Object(items.collect())
            }
            value => fields(value, false),
        };
        set.insert(format!("f:{name}"), below);
    }
    Value::Object(set)
}

/// What the server keeps after an apply: defaults filled in, the fields managed.
fn stored(sent: &Object, manager: &str) -> LiveObject {
    let mut value = sent.to_value();
    let mut owned = fields(&value, true);
    let metadata = &value["metadata"];
    owned["f:metadata"] = json!({"f:labels": fields(&metadata["labels"], false), "f:annotations": fields(&metadata["annotations"], false)});
    value["metadata"]["managedFields"] =
        json!([{"manager": manager, "operation": "Apply", "apiVersion": value["apiVersion"], "fieldsV1": owned}]);
    value["metadata"]["uid"] = "u".into();
    if let Some(backend) = value.pointer_mut("/spec/rules/0/backendRefs/0") {
        backend["weight"] = 1.into();
        backend["group"] = "".into();
    }
    if let Some(listener) = value.pointer_mut("/spec/listeners/0") {
        listener["allowedRoutes"] = json!({"namespaces": {"from": "Same"}});
    }
    LiveObject::new(value)
}

/// The cluster after a complete apply of a release.
fn applied(release: &Release) -> LiveState {
    let (set, shared) = sets();
    let mut live = LiveState::empty(set.clone(), shared.clone());
    for entry in &release.objects {
        let object = wanted(entry, &set, &shared).object;
        let manager = if entry.role == Role::Class { shared.field_manager() } else { set.field_manager() };
        live.objects.insert(Identity::from(&object.key()), stored(&object, &manager));
    }
    let mut parent = ParentState::new(set);
    parent.release = Some(release.id());
    parent.record.selection = Some(Selection::from(&release.module));
    live.parent = Some(parent);
    live
}

fn planned(release: &Release, live: &LiveState) -> Plan {
    plan(release, live, PlanOptions::default()).expect("planned")
}

fn changed(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().filter(|step| step.action != Action::Unchanged);
    steps.map(|step| format!("{} {}", step.action.name(), step.key.name)).collect()
}

fn live_mut<'a>(live: &'a mut LiveState, entry: &ReleaseObject) -> &'a mut Value {
    &mut live.objects.get_mut(&Identity::from(&entry.key())).expect("there").value
}

#[test]
fn phases_order_writes_and_the_reverse_orders_deletions() {
    let release = release(vec![route("a"), policy("p", 1), gateway(80)]);
    let (set, shared) = sets();
    let empty = LiveState::empty(set, shared);
    let plan = planned(&release, &empty);
    assert_eq!(changed(&plan), ["create gw", "create p", "create a"]);
    assert!(!plan.is_empty() && plan.record.is_some());
    assert_eq!(changed(&plan_delete(&applied(&release))), ["delete a", "delete p", "delete gw"]);
}

#[test]
fn what_others_name_is_deleted_last() {
    let mut by_route = route("a");
    by_route.object.set_annotation("example.com/plugins", "filter,other");
    let mut named = policy("named", 1);
    *named.object.pointer_mut("/spec/level").expect("level") = json!({"secretRef": {"name": "b.secret"}});
    // By kind and name a Secret or a filter would go before the policy.
    let before = release(vec![by_route, policy("named-not", 1), named, policy("b.secret", 1), policy("filter", 1)]);
    let live = applied(&before);
    let after = release(vec![route("a")]);
    let expected = ["update a", "delete named", "delete named-not", "delete b.secret", "delete filter"];
    assert_eq!(changed(&planned(&after, &live)), expected);
    // A route's list of what protects it is ours, and names the policies that are to go first.
    let live = applied(&release(vec![gated("a", &["p"]), policy("p", 1), gateway(80)]));
    assert_eq!(changed(&plan_delete(&live)), ["delete a", "delete p", "delete gw"]);
}

#[test]
fn defaults_of_the_server_are_no_difference() {
    let release = release(vec![gateway(80), route("a")]);
    let plan = planned(&release, &applied(&release));
    assert!(plan.is_empty(), "{plan}");
}

#[test]
fn one_field_shows_as_that_field() {
    let release = release(vec![gateway(80), route("a")]);
    let mut live = applied(&release);
    live_mut(&mut live, &release.objects[0])["spec"]["listeners"][0]["port"] = 81.into();
    let plan = planned(&release, &live);
    let Action::Update { changes, diff } = &plan.steps[0].action else { panic!("{plan}") };
    assert_eq!(
        changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(),
        ["spec.listeners[name=http].port"]
    );
    assert!(diff.contains("-    port: 81") && diff.contains("+    port: 80"), "{diff}");
    assert!(!diff.contains("allowedRoutes"), "{diff}");
}

#[test]
fn what_is_owned_and_no_longer_sent_is_removed() {
    let mut old = release(vec![gateway(80)]);
    old.objects[0].object.set_label("team", "x");
    let live = applied(&old);
    let plan = planned(&release(vec![gateway(80)]), &live);
    let Action::Update { changes, .. } = &plan.steps[0].action else { panic!("{plan}") };
    assert!(
        changes.iter().any(|change| change.path == "metadata.labels.team" && change.kind == ChangeKind::Removed),
        "{changes:?}"
    );
}

#[test]
fn a_lost_field_names_its_new_owner() {
    let release = release(vec![route("a")]);
    let mut live = applied(&release);
    let value = live_mut(&mut live, &release.objects[0]);
    value["spec"]["hostnames"] = json!(["b.example.com"]);
    value["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].as_object_mut().expect("map").remove("f:hostnames");
    let other = json!({"manager": "kubectl-edit", "operation": "Update", "apiVersion": ROUTE.api_version(), "fieldsV1": {"f:spec": {"f:hostnames": {}}}});
    value["metadata"]["managedFields"].as_array_mut().expect("list").push(other);
    let plan = planned(&release, &live);
    assert!(plan.conflicts()[0].contains("`spec.hostnames`") && plan.conflicts()[0].contains("kubectl-edit"));
    let repaired = super::plan(&release, &live, PlanOptions::default().with_repair(true)).expect("planned");
    assert!(matches!(repaired.steps[0].action, Action::Update { .. }) && repaired.conflicts().is_empty());
    // The same value in other hands is no conflict, but it is not ours either.
    live_mut(&mut live, &release.objects[0])["spec"]["hostnames"] = json!(["a.example.com"]);
    let plan = planned(&release, &live);
    let Action::Update { changes, .. } = &plan.steps[0].action else { panic!("{plan}") };
    assert_eq!(changes[0].kind, ChangeKind::Owner);
    assert!(plan.conflicts().is_empty());
}

#[test]
fn a_change_by_hand_is_told_from_a_change_of_the_intent() {
    let release = release(vec![route("a")]);
    let repair = PlanOptions::default().with_repair(true);
    let drift = |release: &Release, live: &LiveState| super::plan(release, live, repair).expect("planned").drift;
    let mut live = applied(&release);
    assert_eq!(drift(&release, &live), []);
    live_mut(&mut live, &release.objects[0])["spec"]["hostnames"] = json!(["b.example.com"]);
    let found = drift(&release, &live);
    assert_eq!((found.len(), found[0].fields.as_slice()), (1, &["spec.hostnames".to_owned()][..]));
    let left = super::plan(&release, &live, repair).expect("planned").without_repair();
    assert!(left.is_empty() && left.drift == found, "{left}");
    // What somebody has changed is written as a whole when the intent changes.
    let mut newer = release.clone();
    newer.objects[0].object.set_label("team", "x");
    assert_eq!(drift(&newer, &live), []);

    let mut gone = applied(&release);
    gone.objects.clear();
    assert_eq!(drift(&release, &gone)[0].fields, Vec::<String>::new());
    // A release that was not applied to its end has objects that are not there yet.
    gone.parent.as_mut().expect("parent").release = None;
    assert_eq!(drift(&release, &gone), []);
}

#[test]
fn a_dry_run_that_changes_nothing_settles_it() {
    let release = release(vec![gateway(80)]);
    let mut live = applied(&release);
    let key = Identity::from(&release.objects[0].key());
    let found = live.objects.get_mut(&key).expect("there");
    found.value["spec"]["listeners"][0]["port"] = "80".into();
    let mut preview = found.value.clone();
    preview["metadata"]["resourceVersion"] = "9".into();
    preview["metadata"]["managedFields"][0]["time"] = "now".into();
    found.preview = Some(preview);
    assert!(planned(&release, &live).is_empty());
}

#[test]
fn another_set_and_a_stranger_are_named() {
    let release = release(vec![route("a")]);
    let other = SetIdentity::of_plane("default", "gw", "other", "kgateway");
    let mut live = applied(&release);
    live.known_sets.insert(other.id(), other.clone());
    live_mut(&mut live, &release.objects[0])["metadata"]["labels"][LABEL_PART_OF] = other.id().into();
    let plan = planned(&release, &live);
    assert!(
        matches!(&plan.steps[0].action, Action::Conflict { with: Owner::Set { set: Some(set), .. } } if *set == other)
    );
    assert!(plan.conflicts()[0].contains("data plane other") && plan.conflicts()[0].contains("--adopt"));
    let repaired = super::plan(&release, &live, PlanOptions::default().with_repair(true)).expect("planned");
    assert!(matches!(repaired.steps[0].action, Action::Conflict { .. }), "repair takes nothing of others");
    let adopted = super::plan(&release, &live, PlanOptions::default().with_adopt(true)).expect("planned");
    assert!(matches!(adopted.steps[0].action, Action::Adopt { .. }) && adopted.conflicts().is_empty());
}

#[test]
fn gates_follow_what_is_live() {
    let opening = |plan: &Plan| plan.steps.iter().find_map(|step| step.gate.clone()).expect("gate").opening;
    let release_of = |level, policies: &[&str]| {
        release([policies.iter().map(|name| policy(name, level)).collect(), vec![gated("a", policies)]].concat())
    };
    let first = release_of(1, &["p"]);
    let (set, shared) = sets();
    let nothing = LiveState::empty(set.clone(), shared.clone());
    assert!(matches!(opening(&planned(&first, &nothing)), Opening::CloseThenOpen { .. }));
    let live = applied(&first);
    assert_eq!(opening(&planned(&first, &live)), Opening::Steady);
    assert_eq!(opening(&planned(&release_of(2, &["p"]), &live)), Opening::PolicyThenRoute);
    assert_eq!(opening(&planned(&release_of(1, &["p", "q"]), &live)), Opening::PolicyThenRoute);
    // Its policy was deleted by hand: it is open, and must not be.
    let mut broken = live.clone();
    broken.objects.remove(&Identity::from(&first.objects[0].key()));
    assert!(matches!(opening(&planned(&first, &broken)), Opening::CloseThenOpen { .. }));
    // The policy that protects it is turned to another route.
    let turned = release(vec![policy("p", 2), policy("q", 1), gated("a", &["q"]), gated("b", &["p"])]);
    assert!(matches!(opening(&planned(&turned, &live)), Opening::CloseThenOpen { .. }));
    // An apply was ended between closing and opening.
    let mut closed = live.clone();
    let form = wanted(&first.objects[1], &set, &shared).closed.expect("closed");
    closed.objects.insert(Identity::from(&form.key()), stored(&form, &set.field_manager()));
    let plan = planned(&first, &closed);
    assert_eq!(changed(&plan), ["update a"]);
    assert!(matches!(opening(&plan), Opening::CloseThenOpen { .. }));
}

#[test]
fn a_protected_route_is_closed_before_it_is_deleted() {
    let live = applied(&release(vec![policy("p", 1), gated("a", &["p"])]));
    let plan = plan_delete(&live);
    let closed = plan.steps[0].object.as_ref().expect("closed form");
    assert_eq!(closed.pointer("/spec/rules/0/backendRefs/0/name"), Some(&json!(CLOSED_BACKEND)));
    assert!(closed.annotation(ANNOTATION_CLOSED).is_some());
    assert!(plan_delete(&applied(&release(vec![route("a")]))).steps[0].object.is_none());
}

fn contribution(protocol: &str) -> Contribution {
    Contribution {
        target: ObjectKey { kind: SERVICE, namespace: Some("shop".into()), name: "s".into() },
        value: ContributionValue::AppProtocol { port: 80, protocol: protocol.into() },
        reason: "WebSocket".into(),
        source: FieldRef::new(DocumentId::Component { namespace: "shop".into(), name: "c".into() }, "/spec"),
    }
}

#[test]
fn contributions_are_set_kept_withdrawn_and_never_fought_over() {
    let mut release = release(Vec::new());
    release.contributions.push(contribution("kubernetes.io/ws"));
    let (set, shared) = sets();
    let mut live = LiveState::empty(set.clone(), shared);
    let target = release.contributions[0].target.clone();
    let service = |protocol: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop", "resourceVersion": "5"},
            "spec": {"ports": [{"port": 81}, {"port": 80, "appProtocol": protocol}]}})
    };
    let action = |live: &LiveState, release: &Release| planned(release, live).contributions[0].action.clone();
    assert!(matches!(action(&live, &release), ContributionAction::Blocked { .. }));
    live.targets.insert(target.clone(), service(json!(null)));
    assert_eq!(action(&live, &release), ContributionAction::Set { before: None });
    let record = planned(&release, &live).contributions[0].record.clone().expect("record");
    live.targets.insert(target.clone(), service(json!("http")));
    assert!(matches!(action(&live, &release), ContributionAction::Conflict { before, .. } if before == "http"));
    live.targets.insert(target.clone(), service(json!("kubernetes.io/ws")));
    assert_eq!(action(&live, &release), ContributionAction::Unchanged);
    let mut parent = ParentState::new(set);
    parent.record.contributions.push(record.clone());
    live.parent = Some(parent);
    let mut without = release.clone();
    without.contributions.clear();
    assert_eq!(action(&live, &without), ContributionAction::Withdraw { restore: None });
    live.targets.insert(target.clone(), service(json!("http")));
    assert!(matches!(action(&live, &without), ContributionAction::Forget { .. }));
    let patch = contribution_patch(&service(json!(null)), &record.field, Some("x"), None).expect("patch");
    assert_eq!(
        patch,
        json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": "5"},
        {"op": "add", "path": "/spec/ports/1/appProtocol", "value": "x"}])
    );
    assert_eq!(contribution_patch(&service(json!("http")), &record.field, Some("x"), None), None);
    release.contributions.push(contribution("other"));
    let error = plan(&release, &live, PlanOptions::default()).expect_err("contradiction").to_string();
    assert!(error.contains("kubernetes.io/ws") && error.contains("other"), "{error}");
}

#[test]
fn items_of_an_annotation_come_and_go_one_by_one() {
    let target = |items: &str| json!({"metadata": {"resourceVersion": "1", "annotations": {"k/plugins": items}}});
    let field = ContributionField::AnnotationItem { name: "k/plugins".into(), item: "b".into() };
    let value = |patch: Option<Value>| patch.map(|patch| patch[1]["value"].clone());
    assert_eq!(value(contribution_patch(&target("a,c"), &field, Some("b"), None)), Some(json!("a,c,b")));
    assert_eq!(value(contribution_patch(&target("a,b"), &field, None, Some("b"))), Some(json!("a")));
    let last = contribution_patch(&target("b"), &field, None, Some("b")).expect("patch");
    assert_eq!(last[1], json!({"op": "remove", "path": "/metadata/annotations/k~1plugins"}));
}

#[test]
fn a_derived_secret_follows_its_source_by_reference_only() {
    let mut release = release(Vec::new());
    release.derived_secrets.push(DerivedSecret {
        namespace: "shop".into(),
        source: "users".into(),
        name: "derived".into(),
        transform: SecretTransform::HtpasswdSha1 { key: ".htpasswd".into() },
        labels: std::collections::BTreeMap::new(),
        secret_type: None,
        field: contribution("x").source,
    });
    let (set, shared) = sets();
    let mut live = LiveState::empty(set.clone(), shared);
    let action = |live: &LiveState| planned(&release, live).secrets[0].action.clone();
    assert!(matches!(action(&live), SecretAction::Blocked { reason } if reason.contains("shop/users")));
    let source = |version: &str| SourceSecret { uid: "u".into(), resource_version: version.into() };
    live.sources.insert(("shop".into(), "users".into()), source("1"));
    assert_eq!(action(&live), SecretAction::Create);
    let object = planned(&release, &live).secrets[0].object.clone();
    let mut found = stored(&object, &set.field_manager());
    found.value["metadata"]["managedFields"][0]["fieldsV1"]["f:data"] = json!({"f:.htpasswd": {}});
    live.objects.insert(Identity::from(&object.key()), found);
    assert_eq!(action(&live), SecretAction::Unchanged);
    live.sources.insert(("shop".into(), "users".into()), source("2"));
    assert!(matches!(action(&live), SecretAction::Update { reason } if reason.contains("has changed")));
}

#[test]
fn the_class_and_the_selection_are_checked() {
    let release = release(vec![gateway(80)]);
    let mut live = applied(&release);
    live.class = LiveClass::Missing { available: vec!["istio".into()] };
    assert!(matches!(plan(&release, &live, PlanOptions::default()), Err(PlanError::ClassMissing { .. })));
    let mut other = release.clone();
    other.module.controller = Some("x".into());
    live.class = LiveClass::Present { controller: "y".into() };
    assert!(matches!(plan(&other, &live, PlanOptions::default()), Err(PlanError::ControllerDiffers { .. })));
    live.class = LiveClass::Unread;
    other.module.class = "z".into();
    assert!(matches!(plan(&other, &live, PlanOptions::default()), Err(PlanError::SelectionChanged { .. })));
    assert!(plan(&other, &live, PlanOptions::default().with_allow_outage(true)).is_ok());
}

#[test]
fn a_choice_is_recorded_once_and_an_old_record_is_not_written_for_it() {
    let release = release(vec![gateway(80)]);
    let mut live = applied(&release);
    let recorded = |live: &mut LiveState, text: &str| {
        let selection = serde_json::from_str(text).expect("a record of any age loads");
        live.parent.as_mut().expect("parent").record.selection = Some(selection);
    };
    let old = serde_json::to_value(Selection::from(&release.module)).expect("serialises");
    recorded(&mut live, &old.to_string());
    let plan = planned(&release, &live).with_choice("because", "2026-01-01T00:00:00Z");
    assert!(plan.is_empty(), "no write for the reason alone");
    assert_eq!(plan.selection.as_ref().and_then(|selection| selection.reason.as_deref()), Some("because"));
    let mut new = old;
    new["reason"] = "long ago".into();
    new["time"] = "2020-01-01T00:00:00Z".into();
    recorded(&mut live, &new.to_string());
    let plan = planned(&release, &live).with_choice("because", "2026-01-01T00:00:00Z");
    let kept = plan.selection.expect("selection");
    assert_eq!((kept.reason.as_deref(), kept.time.as_deref()), (Some("long ago"), Some("2020-01-01T00:00:00Z")));
}

#[test]
fn keeping_deletes_nothing_and_withdraws_nothing_and_forgets_nothing() {
    let mut full = release(vec![gateway(80)]);
    full.contributions.push(contribution("kubernetes.io/ws"));
    let mut live = applied(&full);
    let target = full.contributions[0].target.clone();
    let service = |protocol: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop", "resourceVersion": "5"},
            "spec": {"ports": [{"port": 80, "appProtocol": protocol}]}})
    };
    live.targets.insert(target.clone(), service(json!(null)));
    let record = planned(&full, &live).contributions[0].record.clone().expect("record");
    live.targets.insert(target, service(json!("kubernetes.io/ws")));
    live.parent.as_mut().expect("parent").record.contributions.push(record.clone());
    let without = release(Vec::new());
    assert_eq!(changed(&planned(&without, &live)).len(), 1, "it would be deleted");
    let kept = plan(&without, &live, PlanOptions::default().with_keep(true)).expect("planned");
    assert!(changed(&kept).is_empty() && kept.steps.len() == 1, "{:?}", kept.steps);
    assert_eq!(kept.contributions[0].action, ContributionAction::Unchanged);
    assert_eq!(kept.contribution_records, [record]);
}

#[test]
fn a_plan_is_data_without_content_of_secrets() {
    let secret = GroupVersionKind::of("", "v1", "Secret");
    let object = |data: &str| {
        let object = Object::new(&secret, Some("shop"), "s").with_field("data", json!({"key": data}));
        release(vec![entry(object, Phase::Policies, Role::Policy { kinds: Vec::new() })])
    };
    let live = applied(&object("b2xk"));
    let plan = planned(&object("bmV3"), &live);
    assert_eq!(changed(&plan), ["update s"]);
    let shown = format!("{plan}{}", serde_json::to_string(&plan).expect("json"));
    assert!(!shown.contains("b2xk") && !shown.contains("bmV3") && shown.contains("redacted"), "{shown}");
}

proptest! {
    #[test]
    fn what_was_applied_is_unchanged_and_a_change_of_any_leaf_shows(
        ports in proptest::collection::vec(1_u16..9, 1..4), labels in proptest::collection::btree_map("[a-z]{1,4}", "[a-z]{0,4}", 0..4), pick in 0_usize..3,
    ) {
        let listeners: Vec<Value> = ports.iter().enumerate().map(|(index, port)| json!({"name": format!("l{index}"), "port": port})).collect();
        let mut entry = gateway(80);
        *entry.object.pointer_mut("/spec/listeners").expect("listeners") = listeners.into();
        for (name, value) in &labels {
            entry.object.set_label(name, value);
        }
        let release = release(vec![entry]);
        let mut live = applied(&release);
        prop_assert!(planned(&release, &live).is_empty());
        let index = pick % ports.len();
        live_mut(&mut live, &release.objects[0])["spec"]["listeners"][index]["port"] = 99.into();
        let plan = planned(&release, &live);
        let Action::Update { changes, .. } = &plan.steps[0].action else { panic!("{plan}") };
        prop_assert_eq!(&changes[0].path, &format!("spec.listeners[name=l{index}].port"));
        prop_assert_eq!(changes.len(), 1);
    }
}
