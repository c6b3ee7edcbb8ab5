//! Create, re-apply, hand edits, prune, and what belongs to others, against a real API server.

#![allow(clippy::expect_used, clippy::panic, missing_docs)]

mod plan_apply_support;

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures::StreamExt;
use gateway_modules_core::{
    cluster::{ApplyEvent, Cluster, ClusterError},
    compile::{Phase, Role},
    object::Object,
    plan::{Action, LABEL_PART_OF, PlanOptions},
};
use plan_apply_support::{CLASS, GATEWAY, Lab, ROUTE, actions, entry, options};
use serde_json::json;

#[tokio::test]
async fn the_second_apply_makes_no_write() {
    let Some(lab) = Lab::new().await else { return };
    let release =
        lab.release("prod", vec![lab.gateway("gw"), lab.policy("limit", "a", 5), lab.route("a", "a.example.com")]);
    let plan = lab.plan(&release).await;
    assert_eq!(actions(&plan), ["create gw", "create limit", "create a"]);
    let outcome = lab.cluster.apply_to_end(&plan, lab.options()).await.expect("applied");
    assert!(outcome.is_complete() && outcome.writes == 3, "{outcome:?}");
    let before = lab.writes().await;
    assert!(
        before
            .iter()
            .filter(|write| write.verb == "patch")
            .all(|write| write.query.get("fieldValidation").is_some_and(|value| value == "Strict"))
    );
    assert!(before.iter().all(|write| write.query.get("force").is_none_or(|value| value == "false")));
    let again = lab.plan(&release).await;
    assert!(again.is_empty(), "{again}");
    lab.cluster.apply_to_end(&again, lab.options()).await.expect("applied");
    assert_eq!(lab.writes().await.len(), before.len());
}

#[tokio::test]
async fn a_hand_edit_of_an_owned_field_shows_as_exactly_that() {
    let Some(lab) = Lab::new().await else { return };
    let release =
        lab.release("prod", vec![lab.gateway("gw"), lab.route("a", "a.example.com"), lab.route("b", "b.example.com")]);
    lab.apply(&release).await.expect("applied");
    // An atomic list, a field of an item of a keyed list, a label, and something that is not ours.
    lab.edit(&ROUTE, "a", json!({"spec": {"hostnames": ["evil.example.com"]}})).await;
    let plan = lab.plan(&release).await;
    assert_eq!(actions(&plan), ["update a"]);
    let step = plan.steps.iter().find(|step| step.key.name == "a").expect("step");
    let Action::Update { changes, diff } = &step.action else { panic!("{:?}", step.action) };
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].path, "spec.hostnames");
    assert_eq!(changes[0].manager.as_deref(), Some("kubectl-edit"));
    assert!(diff.contains("-  - evil.example.com") && diff.contains("+  - a.example.com"), "{diff}");
    let error = lab.cluster.apply_to_end(&plan, lab.options()).await.expect_err("contested");
    assert!(matches!(&error, ClusterError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("spec.hostnames") && error.to_string().contains("kubectl-edit"), "{error}");
    let plan = lab.cluster.plan(&release, PlanOptions::default().with_adopt(true)).await.expect("planned");
    lab.cluster.apply_to_end(&plan, lab.options()).await.expect("taken over");
    assert!(lab.plan(&release).await.is_empty());
}

#[tokio::test]
async fn additions_of_others_do_not_show_and_stay() {
    let Some(lab) = Lab::new().await else { return };
    let release = lab.release("prod", vec![lab.gateway("gw"), lab.route("a", "a.example.com")]);
    lab.apply(&release).await.expect("applied");
    lab.edit(&GATEWAY, "gw", json!({"metadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}})).await;
    assert!(lab.plan(&release).await.is_empty());
    let mut changed = release.clone();
    changed.objects[0].object.set_label("ours", "1");
    lab.apply(&changed).await.expect("applied");
    let gateway = lab.get(&GATEWAY, "gw").await.expect("there");
    assert_eq!(gateway["metadata"]["labels"]["team"], "x");
    // And what we no longer send goes, even inside an atomic list.
    lab.apply(&release).await.expect("applied");
    assert!(lab.get(&GATEWAY, "gw").await.expect("there")["metadata"]["labels"].get("ours").is_none());
    let mut shorter = release.clone();
    let rule =
        shorter.objects[1].object.pointer_mut("/spec/rules/0").and_then(|rule| rule.as_object_mut()).expect("rule");
    rule.remove("timeouts");
    let plan = lab.plan(&shorter).await;
    assert_eq!(actions(&plan), ["update a"]);
    let Some(Action::Update { diff, .. }) =
        plan.steps.iter().find(|step| step.key.name == "a").map(|step| &step.action)
    else {
        panic!("{plan}")
    };
    assert!(diff.contains("timeouts") && !diff.contains("weight: 1\n+"), "{diff}");
    lab.apply(&shorter).await.expect("applied");
    assert!(lab.get(&ROUTE, "a").await.expect("there")["spec"]["rules"][0].get("timeouts").is_none());
    assert!(lab.plan(&shorter).await.is_empty());
}

#[tokio::test]
async fn a_deleted_object_and_a_removed_label_show() {
    let Some(lab) = Lab::new().await else { return };
    let release =
        lab.release("prod", vec![lab.gateway("gw"), lab.route("a", "a.example.com"), lab.route("b", "b.example.com")]);
    lab.apply(&release).await.expect("applied");
    lab.delete(&ROUTE, "a").await;
    lab.edit(&ROUTE, "b", json!({"metadata": {"labels": {LABEL_PART_OF: null}}})).await;
    let plan = lab.plan(&release).await;
    assert_eq!(actions(&plan), ["create a", "update b"]);
    lab.cluster.apply_to_end(&plan, lab.options()).await.expect("mended");
    assert!(lab.plan(&release).await.is_empty());
}

#[tokio::test]
async fn what_is_no_longer_in_the_release_goes_and_nothing_else() {
    let Some(lab) = Lab::new().await else { return };
    let release = lab.release(
        "prod",
        vec![
            lab.gateway("gw"),
            lab.policy("limit", "a", 5),
            lab.route("a", "a.example.com"),
            lab.route("b", "b.example.com"),
        ],
    );
    lab.apply(&release).await.expect("applied");
    lab.put(&lab.route_object("foreign", "f.example.com", "backend")).await;
    let shorter = lab.release("prod", vec![lab.gateway("gw"), lab.route("b", "b.example.com")]);
    let plan = lab.plan(&shorter).await;
    assert_eq!(actions(&plan), ["delete a", "delete limit"]);
    let b = lab.get(&ROUTE, "b").await.expect("there")["metadata"]["resourceVersion"].clone();
    lab.cluster.apply_to_end(&plan, lab.options()).await.expect("applied");
    assert!(lab.get(&ROUTE, "a").await.is_none());
    assert!(lab.get(&ROUTE, "foreign").await.is_some());
    assert_eq!(lab.get(&ROUTE, "b").await.expect("there")["metadata"]["resourceVersion"], b);
    let parent = &lab.cluster.sets("prod").await.expect("read")[0];
    assert!(parent.group_kinds.iter().all(|kind| kind.kind != "TrafficPolicy"), "{parent:?}");
    for plan in lab.cluster.plan_delete("prod").await.expect("planned") {
        lab.cluster.apply_to_end(&plan, lab.options()).await.expect("deleted");
    }
    assert!(lab.get(&ROUTE, "b").await.is_none() && lab.get(&GATEWAY, "gw").await.is_none());
    assert!(lab.cluster.sets("prod").await.expect("read").is_empty());
    assert!(lab.get(&ROUTE, "foreign").await.is_some());
}

#[tokio::test]
async fn what_others_have_named_goes_last_and_after_a_moment() {
    let Some(lab) = Lab::new().await else { return };
    let route = || lab.route("a", "a.example.com");
    // By its name the one that is named would go first.
    let policies = || vec![lab.policy("named", "a", 5), lab.policy("names-it", "named", 5)];
    lab.apply(&lab.release("prod", [vec![route()], policies()].concat())).await.expect("applied");
    let plan = lab.plan(&lab.release("prod", vec![route()])).await;
    assert_eq!(actions(&plan), ["delete names-it", "delete named"]);
    let mut events = pin!(lab.cluster.apply(&plan, lab.options()));
    let mut gone = Vec::new();
    while let Some(event) = events.next().await {
        if let ApplyEvent::Deleted { object } = event.expect("no error") {
            gone.push((object.name, Instant::now()));
        }
    }
    let [(first, start), (last, end)] = &gone[..] else { panic!("{gone:?}") };
    assert_eq!([first.as_str(), last.as_str()], ["names-it", "named"]);
    assert!(end.duration_since(*start) >= Duration::from_millis(2500), "{gone:?}");
}

#[tokio::test]
async fn two_planes_do_not_touch_each_others_objects() {
    let Some(lab) = Lab::new().await else { return };
    let one = lab.release("one", vec![lab.gateway("gw"), lab.route("a", "a.example.com")]);
    lab.apply(&one).await.expect("applied");
    let before = lab.get(&ROUTE, "a").await;
    let two = lab.release("two", vec![lab.route("a", "a.example.com"), lab.route("c", "c.example.com")]);
    let plan = lab.plan(&two).await;
    let error = lab.cluster.apply_to_end(&plan, lab.options()).await.expect_err("refused");
    assert!(error.to_string().contains("data plane one"), "{error}");
    assert_eq!(lab.get(&ROUTE, "a").await, before);
    assert!(lab.get(&ROUTE, "c").await.is_none());
    let two = lab.release("two", vec![lab.route("c", "a.example.com")]);
    lab.apply(&two).await.expect("applied");
    for plan in lab.cluster.plan_delete("two").await.expect("planned") {
        lab.cluster.apply_to_end(&plan, lab.options()).await.expect("deleted");
    }
    assert_eq!(lab.get(&ROUTE, "a").await, before);
    assert!(lab.plan(&one).await.is_empty());
}

#[tokio::test]
async fn an_object_of_somebody_else_is_refused_and_adopted_on_request() {
    let Some(lab) = Lab::new().await else { return };
    lab.put(&lab.route_object("a", "old.example.com", "backend")).await;
    let release = lab.release("prod", vec![lab.gateway("gw"), lab.route("a", "a.example.com")]);
    let plan = lab.plan(&release).await;
    let error = lab.cluster.apply_to_end(&plan, lab.options()).await.expect_err("refused");
    assert!(error.to_string().contains("somebody") && error.to_string().contains("--adopt"), "{error}");
    assert!(lab.get(&GATEWAY, "gw").await.is_none(), "nothing is written before that is settled");
    let plan = lab.cluster.plan(&release, PlanOptions::default().with_adopt(true)).await.expect("planned");
    assert_eq!(actions(&plan), ["create gw", "adopt a"]);
    lab.cluster.apply_to_end(&plan, lab.options()).await.expect("adopted");
    assert_eq!(lab.get(&ROUTE, "a").await.expect("there")["spec"]["hostnames"], json!(["a.example.com"]));
    assert!(lab.plan(&release).await.is_empty());
}

#[tokio::test]
async fn a_kill_in_the_middle_is_mended_by_the_next_apply_or_delete() {
    let Some(lab) = Lab::new().await else { return };
    let routes = ["a", "b", "c", "d"].map(|name| lab.route(name, &format!("{name}.example.com")));
    let release = lab.release("prod", [vec![lab.gateway("gw")], routes.to_vec()].concat());
    for stop in 1..6 {
        let plan = lab.plan(&release).await;
        let mut events = Box::pin(lab.cluster.apply(&plan, lab.options()));
        for _ in 0..stop {
            events.next().await.expect("event").expect("no error");
        }
        drop(events);
    }
    lab.apply(&release).await.expect("completed");
    assert!(lab.plan(&release).await.is_empty());
    let mut events = Box::pin({
        let plans = lab.cluster.plan_delete("prod").await.expect("planned");
        lab.cluster.apply(&plans[0], lab.options())
    });
    for _ in 0..3 {
        events.next().await.expect("event").expect("no error");
    }
    drop(events);
    for plan in lab.cluster.plan_delete("prod").await.expect("planned") {
        lab.cluster.apply_to_end(&plan, lab.options()).await.expect("deleted");
    }
    assert!(lab.get(&GATEWAY, "gw").await.is_none() && lab.get(&ROUTE, "d").await.is_none());
    assert!(lab.cluster.sets("prod").await.expect("read").is_empty());
}

#[tokio::test]
async fn a_shared_class_goes_with_the_last_plane() {
    let Some(lab) = Lab::new().await else { return };
    let name = format!("{}-made", lab.name);
    let class = || {
        entry(
            Object::new(&CLASS, None, &name).with_spec(json!({"controllerName": "example.com/c"})),
            Phase::Foundation,
            Role::Class,
        )
    };
    let one = lab.release("one", vec![class(), lab.route("a", "a.example.com")]);
    let two = lab.release("two", vec![class(), lab.route("b", "b.example.com")]);
    lab.apply(&one).await.expect("applied");
    lab.apply(&two).await.expect("applied");
    assert!(lab.plan(&one).await.is_empty() && lab.plan(&two).await.is_empty());
    let mut other = class();
    other.object =
        Object::new(&CLASS, None, &name).with_spec(json!({"controllerName": "example.com/c", "description": "x"}));
    let conflicting = lab.release("two", vec![other, lab.route("b", "b.example.com")]);
    let conflicts = lab.plan(&conflicting).await.conflicts();
    assert!(conflicts.iter().any(|text| text.contains("data plane one")), "{conflicts:?}");
    for (plane, there) in [("one", true), ("two", false)] {
        for plan in lab.cluster.plan_delete(plane).await.expect("planned") {
            lab.cluster.apply_to_end(&plan, lab.options()).await.expect("deleted");
        }
        assert_eq!(lab.get(&CLASS, &name).await.is_some(), there, "{plane}");
    }
}

#[tokio::test]
async fn a_missing_class_another_controller_and_another_module_are_refused() {
    let Some(lab) = Lab::new().await else { return };
    let mut release = lab.release("prod", vec![lab.gateway("gw")]);
    lab.apply(&release).await.expect("applied");
    let refused = |release| {
        let lab = &lab;
        async move { lab.cluster.plan(&release, PlanOptions::default()).await.expect_err("refused").to_string() }
    };
    let mut missing = release.clone();
    missing.module.class = "nowhere".into();
    let text = refused(missing).await;
    assert!(text.contains("GatewayClass nowhere is not in the cluster") && text.contains(&lab.name), "{text}");
    let mut other = release.clone();
    other.module.controller = Some("example.com/other".into());
    let text = refused(other).await;
    assert!(text.contains("example.com/other") && text.contains(&lab.controller), "{text}");
    release.module.name = "generic".into();
    let text = refused(release.clone()).await;
    assert!(text.contains("--allow-outage") && text.contains("gwm switch"), "{text}");
    let plan = lab.cluster.plan(&release, PlanOptions::default().with_allow_outage(true)).await.expect("planned");
    assert_eq!(plan.former.len(), 1);
    assert_eq!(actions(&plan), ["create gw"]);
    lab.cluster.apply_to_end(&plan, lab.options()).await.expect("replaced");
    assert!(lab.plan(&release).await.is_empty());
    assert_eq!(lab.cluster.sets("prod").await.expect("read").len(), 1);
}

#[tokio::test]
async fn two_applies_at_once_wait_for_each_other() {
    let Some(lab) = Lab::new().await else { return };
    let release = lab.release("prod", vec![lab.gateway("gw"), lab.route("a", "a.example.com")]);
    let other = Cluster::new(lab.client.clone(), options(&lab.name).with_holder("other"));
    let plan = lab.plan(&release).await;
    let (one, two) =
        futures::join!(lab.cluster.apply_to_end(&plan, lab.options()), other.apply_to_end(&plan, lab.options()));
    // The later one finds that its plan is stale, and has written nothing.
    let errors: Vec<String> = [one, two].into_iter().filter_map(|result| Some(result.err()?.to_string())).collect();
    assert!(errors.len() == 1 && errors[0].contains("plan again"), "{errors:?}");
    assert!(lab.plan(&release).await.is_empty());
}
