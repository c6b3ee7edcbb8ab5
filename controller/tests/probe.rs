//! Where a plane asks for it, protected routes are asked without credentials, at the addresses that their Gateways publish: on a
//! real control plane, with a server on the loopback address where a gateway would be.

#![allow(clippy::unwrap_used, clippy::panic)]

mod lab;

use std::time::Duration;

use gateway_modules_testkit::{LoopbackRequest, LoopbackServer, StandIn, StandInOptions};
use http::StatusCode;
use serde_json::{Value, json};

use self::lab::{COMPONENT, DATA_PLANE, Lab, Running, component, condition, options, plane, service};

const HOST: &str = "catalog.example.com";

fn asking(server: &LoopbackServer, probe: Option<&str>) -> Value {
    let mut plane = plane("main");
    plane["spec"]["visibilities"] = json!({"external": {"listeners": [
        {"name": "http", "protocol": "HTTP", "port": server.http_port()},
        {"name": "https", "protocol": "HTTPS", "port": server.https_port(),
            "tls": {"certificates": [{"name": "certificate", "namespace": "kgateway-system"}]}},
    ]}});
    if let Some(probe) = probe {
        plane["spec"]["probe"] = probe.into();
    }
    plane
}

async fn observed(lab: &Lab, status: &str, reason: &str, says: &[&str]) {
    lab.wait(&format!("Observed={status} {reason}"), async || {
        let main = lab.api(DATA_PLANE, None).await.get("main").await.unwrap();
        let found = condition(&main, "Observed");
        let told = found.0 == status && found.1 == reason && says.iter().all(|word| found.2.contains(word));
        if told { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn warnings(lab: &Lab) -> Vec<String> {
    let all = lab.api(("events.k8s.io/v1", "Event"), None).await.list(&Default::default()).await.unwrap();
    let open = all.items.iter().filter(|event| event.data["reason"] == "Open" && event.data["type"] == "Warning");
    open.map(|event| format!("{}: {}", event.data["regarding"]["kind"], event.data["note"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_route_that_lets_a_stranger_in_is_open_and_not_ready() {
    let Some(lab) = Lab::start().await else { return };
    let server = LoopbackServer::start().await.unwrap();
    let stand_in = StandIn::start(
        lab.control_plane.stand_in_client().await.unwrap(),
        StandInOptions::kgateway().address("127.0.0.1"),
    );
    lab.create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certificate", "namespace": "kgateway-system"},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": "not looked at", "tls.key": "not looked at"},
    }))
    .await;
    for name in ["catalog", "office", "public"] {
        lab.create(service(name)).await;
    }
    let controller = Running::start(lab.restricted().await, options());
    lab.create(asking(&server, None)).await;
    lab.create(lab.protected("catalog", HOST).await).await;
    lab.create(component("public", "public.example.com")).await;
    for name in ["catalog", "public"] {
        lab.wait_for_condition(COMPONENT, name, "Ready", "True").await;
        server.answer(&format!("{name}.example.com"), StatusCode::OK);
    }

    // Nobody has asked for a probe, and there is none, however open the route is.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(server.requests().is_empty(), "{:#?}", server.requests());
    let main = lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    assert_eq!(condition(&main, "Observed").0, "", "{:#}", main.data["status"]);

    // A refusal, at every listener.
    server.answer(HOST, StatusCode::UNAUTHORIZED);
    lab.create(asking(&server, Some("refusals"))).await;
    observed(&lab, "True", "Refused", &["1 policies refuse"]).await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;
    let requests = server.requests();
    let of = |tls: bool| requests.iter().filter(|request| request.tls == tls).count();
    assert!(of(true) > 0 && of(false) > 0, "{requests:#?}");
    let harmless = |request: &LoopbackRequest| {
        let expected = (request.method.as_str(), request.path.as_str(), request.host()) == ("GET", "/", HOST);
        expected && ["authorization", "cookie"].iter().all(|name| !request.headers.contains_key(*name))
    };
    assert!(requests.iter().all(harmless), "only the protected route is asked, and without credentials: {requests:#?}");

    // It answers: not ready, wherever somebody looks.
    server.answer(HOST, StatusCode::OK);
    observed(&lab, "False", "Open", &["shop/catalog", "basic-auth", "200 to GET http"]).await;
    for (kind, name) in [(DATA_PLANE, "main"), (COMPONENT, "catalog")] {
        let object = lab.wait_for_condition(kind, name, "Ready", "False").await;
        assert_eq!(condition(&object, "Ready").1, "Open", "{:#}", object.data["status"]);
        assert!(condition(&object, "Programmed").2.contains("basic-auth"), "{:#}", object.data["status"]);
    }
    let public = lab.wait_for_condition(COMPONENT, "public", "Ready", "True").await;
    assert_eq!(public.data["status"]["dataPlanes"][0]["endpoints"][0]["health"], "Ready");
    lab.wait("both are warned about", async || match warnings(&lab).await {
        told if told.len() == 2 => Ok(()),
        told => Err(format!("{told:#?}")),
    })
    .await;

    // It refuses again.
    server.answer(HOST, StatusCode::FORBIDDEN);
    observed(&lab, "True", "Refused", &[]).await;
    lab.wait_for_condition(COMPONENT, "catalog", "Ready", "True").await;

    // What is no refusal of the policy is no observation, and does not say that the route is open.
    server.answer(HOST, StatusCode::NOT_FOUND);
    observed(&lab, "Unknown", "NotSeen", &["404 to GET"]).await;
    lab.wait_for_condition(DATA_PLANE, "main", "Ready", "True").await;

    // A policy that no plain request can show says so.
    server.answer(HOST, StatusCode::UNAUTHORIZED);
    let mut office = component("office", "office.example.com");
    office["spec"]["endpoints"][0]["policies"] = json!({"ipAccess": {"allow": ["10.0.0.0/8"]}});
    lab.create(office).await;
    observed(&lab, "True", "Refused", &["shop/office", "ip-access", "where it comes from"]).await;
    assert!(server.requests().iter().all(|request| request.host() == HOST), "{:#?}", server.requests());

    // And off again.
    lab.create(asking(&server, Some("never"))).await;
    observed(&lab, "", "", &[]).await;
    let before = server.requests().len();
    server.answer(HOST, StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(server.requests().len(), before);
    println!("{before} requests");
    controller.stop().await;
    stand_in.stop().await;
    lab.control_plane.stop().await.unwrap();
}
