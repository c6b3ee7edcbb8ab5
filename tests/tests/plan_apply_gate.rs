//! A route is never open without its attached security policy, against a real API server with a stand-in controller.

#![allow(clippy::expect_used, clippy::panic, missing_docs)]

mod plan_apply_support;

use std::time::{Duration, Instant};

use futures::StreamExt;
use gateway_modules_core::{
    cluster::{ApplyEvent, ApplyOptions, Health},
    compile::{CLOSED_BACKEND, Release},
    plan::{Opening, Plan},
};
use plan_apply_support::{Lab, POLICY, ROUTE, actions, names};
use serde_json::json;

async fn run(lab: &Lab, plan: &Plan, options: ApplyOptions) -> Vec<ApplyEvent> {
    let events: Vec<_> = lab.cluster.apply(plan, options).collect().await;
    events.into_iter().map(|event| event.expect("no error")).collect()
}

fn protected(lab: &Lab) -> Release {
    lab.release("prod", vec![lab.gateway("gw"), lab.policy("auth", "a", 5), lab.gated("a", "a.example.com", &["auth"])])
}

async fn backend(lab: &Lab, route: &str) -> String {
    let route = lab.get(&ROUTE, route).await.expect("there");
    route["spec"]["rules"][0]["backendRefs"][0]["name"].as_str().expect("name").to_owned()
}

#[tokio::test]
async fn closed_acknowledged_open_in_that_order() {
    let Some(lab) = Lab::new().await else { return };
    let stand_in = lab.stand_in().await;
    let release = protected(&lab);
    let plan = lab.plan(&release).await;
    let events = names(&run(&lab, &plan, lab.options()).await);
    assert_eq!(events, ["written gw", "written auth", "closed a", "acknowledged a", "opened a"]);
    let writes: Vec<String> = lab
        .writes()
        .await
        .iter()
        .filter(|write| write.resource != "configmaps")
        .map(|write| {
            format!(
                "{} {}",
                write.name,
                write.request_object.as_ref().expect("body")["spec"]["rules"][0]["backendRefs"][0]["name"]
            )
        })
        .collect();
    let closed = format!("a \"{CLOSED_BACKEND}\"");
    assert_eq!(writes, ["gw null", "auth null", &closed, "a \"backend\""]);
    assert!(lab.plan(&release).await.is_empty());
    drop(stand_in);
}

#[tokio::test]
async fn a_word_that_comes_early_opens_nothing_until_it_is_true() {
    let Some(lab) = Lab::new().await else { return };
    let _stand_in = lab.stand_in().await;
    let mut release = protected(&lab);
    release.in_force_after = Duration::from_millis(1500);
    let plan = lab.plan(&release).await;
    let start = Instant::now();
    let events = run(&lab, &plan, lab.options()).await;
    assert!(start.elapsed() >= release.in_force_after);
    let told = events.iter().any(|event| {
        matches!(event, ApplyEvent::Waiting { reasons, .. } if reasons.iter().any(|one| one.contains("proxies need 1.5 s")))
    });
    assert!(told, "{events:?}");
    assert_eq!(names(&events).last().map(String::as_str), Some("opened a"));
}

#[tokio::test]
async fn without_a_controller_the_route_stays_closed_and_the_next_apply_opens_it() {
    let Some(lab) = Lab::new().await else { return };
    let mut release = protected(&lab);
    release.objects.push(lab.route("open", "open.example.com"));
    let plan = lab.plan(&release).await;
    let short = lab.options().with_gate_timeout(Duration::from_millis(600));
    let events = run(&lab, &plan, short).await;
    let Some(ApplyEvent::Finished { outcome }) = events.last() else { panic!("{events:?}") };
    assert_eq!(outcome.blocked.len(), 1);
    assert!(outcome.blocked[0].reasons[0].contains("has not written a status"), "{outcome:?}");
    assert_eq!(backend(&lab, "a").await, CLOSED_BACKEND);
    assert_eq!(backend(&lab, "open").await, "backend");
    let status = lab.cluster.status(&release).await.expect("status");
    assert_eq!(status.health, Health::Blocked, "{status:?}");
    assert!(status.reasons[0].message.contains("TrafficPolicy"), "{:?}", status.reasons);
    let again = lab.plan(&release).await;
    assert_eq!(actions(&again), ["update a"]);
    let _stand_in = lab.stand_in().await;
    let events = names(&run(&lab, &again, lab.options()).await);
    assert_eq!(events.last().map(String::as_str), Some("opened a"), "{events:?}");
    assert!(lab.plan(&release).await.is_empty());
}

#[tokio::test]
async fn a_changed_policy_is_acknowledged_before_its_route_and_closes_nothing() {
    let Some(lab) = Lab::new().await else { return };
    let _stand_in = lab.stand_in().await;
    lab.apply(&protected(&lab)).await.expect("applied");
    let tighter = lab.release(
        "prod",
        vec![lab.gateway("gw"), lab.policy("auth", "a", 1), lab.gated("a", "a2.example.com", &["auth"])],
    );
    let plan = lab.plan(&tighter).await;
    assert_eq!(actions(&plan), ["update auth", "update a"]);
    let events = names(&run(&lab, &plan, lab.options()).await);
    assert_eq!(events, ["written auth", "acknowledged a", "opened a"]);
    // A second policy on an open route: the route was open before, and is rewritten when the policy is effective.
    let second = lab.release(
        "prod",
        vec![
            lab.gateway("gw"),
            lab.policy("auth", "a", 1),
            lab.policy("more", "a", 3),
            lab.gated("a", "a2.example.com", &["auth", "more"]),
        ],
    );
    let events = names(&run(&lab, &lab.plan(&second).await, lab.options()).await);
    assert_eq!(events, ["written more", "acknowledged a", "opened a"]);
    // And away again: the route first, then the policy.
    let events = names(&run(&lab, &lab.plan(&tighter).await, lab.options()).await);
    assert_eq!(events, ["acknowledged a", "opened a", "deleted more"]);
}

#[tokio::test]
async fn a_policy_that_was_deleted_by_hand_closes_its_route_until_it_is_back() {
    let Some(lab) = Lab::new().await else { return };
    let _stand_in = lab.stand_in().await;
    let release = protected(&lab);
    lab.apply(&release).await.expect("applied");
    lab.delete(&POLICY, "auth").await;
    let plan = lab.plan(&release).await;
    assert_eq!(actions(&plan), ["create auth"]);
    let gate = plan.steps.iter().find_map(|step| step.gate.as_ref()).expect("gate");
    assert!(matches!(&gate.opening, Opening::CloseThenOpen { reason } if reason.contains("gone")), "{gate:?}");
    let events = names(&run(&lab, &plan, lab.options()).await);
    assert_eq!(events, ["written auth", "closed a", "acknowledged a", "opened a"]);
    assert!(lab.plan(&release).await.is_empty());
}

#[tokio::test]
async fn a_blocked_route_keeps_the_policies_that_it_stood_on() {
    let Some(lab) = Lab::new().await else { return };
    let stand_in = lab.stand_in().await;
    lab.apply(&protected(&lab)).await.expect("applied");
    drop(stand_in);
    let moved = lab
        .release("prod", vec![lab.gateway("gw"), lab.policy("new", "a", 1), lab.gated("a", "a.example.com", &["new"])]);
    let plan = lab.plan(&moved).await;
    let events = run(&lab, &plan, lab.options().with_gate_timeout(Duration::from_millis(600))).await;
    assert_eq!(
        names(&events),
        ["written new", "blocked HTTPRoute NAME/a".replace("NAME", &lab.name).as_str(), "kept auth"]
    );
    assert!(lab.get(&POLICY, "auth").await.is_some());
    assert_eq!(backend(&lab, "a").await, "backend");
}

#[tokio::test]
async fn deletion_closes_a_protected_route_before_its_policies_go() {
    let Some(lab) = Lab::new().await else { return };
    let _stand_in = lab.stand_in().await;
    lab.apply(&protected(&lab)).await.expect("applied");
    let plans = lab.cluster.plan_delete("prod").await.expect("planned");
    let events = names(&run(&lab, &plans[0], lab.options()).await);
    assert_eq!(events, ["closed a", "deleted a", "deleted auth", "deleted gw"]);
    let writes = lab.writes().await;
    let close = writes.iter().rposition(|write| write.name == "a" && write.verb == "patch").expect("closed");
    let gone = writes.iter().position(|write| write.name == "a" && write.verb == "delete").expect("deleted");
    let policy = writes.iter().position(|write| write.name == "auth" && write.verb == "delete").expect("deleted");
    assert!(close < gone && gone < policy);
    assert_ne!(
        writes[close].request_object.as_ref().expect("body")["spec"]["rules"][0]["backendRefs"][0]["name"],
        json!("backend")
    );
}

#[tokio::test]
async fn an_old_acknowledgement_does_not_open_a_new_route() {
    let Some(lab) = Lab::new().await else { return };
    let stand_in = lab.stand_in().await;
    lab.apply(&protected(&lab)).await.expect("applied");
    drop(stand_in);
    // The policy is acknowledged already, but nobody has seen it together with route b.
    let wider = lab.release(
        "prod",
        vec![
            lab.gateway("gw"),
            lab.policy("auth", "a", 5),
            lab.gated("a", "a.example.com", &["auth"]),
            lab.gated("b", "b.example.com", &["auth"]),
        ],
    );
    let plan = lab.plan(&wider).await;
    let events = run(&lab, &plan, lab.options().with_gate_timeout(Duration::from_millis(600))).await;
    let Some(ApplyEvent::Finished { outcome }) = events.last() else { panic!("{events:?}") };
    assert!(outcome.blocked[0].reasons[0].contains("has not seen it yet"), "{outcome:?}");
    assert_eq!(backend(&lab, "b").await, CLOSED_BACKEND);
    let _stand_in = lab.stand_in().await;
    lab.apply(&wider).await.expect("applied");
    assert_eq!(backend(&lab, "b").await, "backend");
}
