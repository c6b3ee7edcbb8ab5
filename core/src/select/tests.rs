use proptest::prelude::*;

use super::*;
use crate::module::OtherUses;

fn modules() -> Modules {
    let module = |name, controllers, default_class| ModuleIdentity {
        name,
        controllers,
        default_class,
        other_uses: OtherUses::default(),
    };
    let mut all = vec![
        module("generic", &[], None),
        module("istio", &["istio.io/gateway-controller"], Some("istio")),
        module("kgateway", &["kgateway.dev/kgateway"], Some("kgateway")),
        module("nginx", &["gateway.nginx.org/nginx"], Some("nginx")),
    ];
    all[1].other_uses = OtherUses { classes: &["istio-waypoint"], controllers: &["istio.io/unmanaged-gateway"] };
    all[2].other_uses = OtherUses { classes: &["kgateway-waypoint"], controllers: &[] };
    Modules { all, preferred: "kgateway" }
}

fn class(name: &str, controller: &str, accepted: Option<bool>) -> InstalledClass {
    InstalledClass { name: name.into(), controller: controller.into(), accepted, ..InstalledClass::default() }
}

/// Classes that a real cluster may have, each accepted or not.
const POOL: &[(&str, &str)] = &[
    ("kgateway", "kgateway.dev/kgateway"),
    ("kgateway-internal", "kgateway.dev/kgateway"),
    ("kgateway-waypoint", "kgateway.dev/kgateway"),
    ("istio", "istio.io/gateway-controller"),
    ("istio-waypoint", "istio.io/mesh-controller"),
    ("istio-remote", "istio.io/unmanaged-gateway"),
    ("far", "istio.io/unmanaged-gateway"),
    ("nginx", "gateway.nginx.org/nginx"),
    ("nginx-public", "gateway.nginx.org/nginx"),
    ("acme", "acme.example/gateway"),
    ("acme-mesh", "acme.example/mesh"),
];
const INELIGIBLE: &[&str] = &["kgateway-waypoint", "istio-waypoint", "istio-remote", "far", "acme-mesh"];

fn installed(names: &[&str]) -> ClassesRead {
    let of = |name: &&str| POOL.iter().find(|(known, _)| known == name).expect("in the pool");
    ClassesRead::Read(names.iter().map(of).map(|(name, controller)| class(name, controller, Some(true))).collect())
}

fn any_classes() -> impl Strategy<Value = ClassesRead> {
    let states = prop::collection::vec(
        prop::option::of(prop_oneof![Just(Some(true)), Just(Some(false)), Just(None)]),
        POOL.len(),
    );
    states.prop_map(|states| {
        let pairs = POOL.iter().zip(states);
        ClassesRead::Read(
            pairs.filter_map(|((name, controller), state)| state.map(|state| class(name, controller, state))).collect(),
        )
    })
}

fn record(selected: &Selected) -> Selection {
    Selection {
        module: selected.module.clone(),
        version: "1".into(),
        class: selected.class.clone().expect("a class"),
        controller: selected.controller.clone(),
        reason: Some(selected.reason.to_string()),
        time: Some("2026-01-01T00:00:00Z".into()),
    }
}

fn choose(names: &[&str]) -> Result<Selected, SelectError> {
    select(&modules(), &installed(names), Wanted::default(), None)
}

#[test]
fn the_first_choice() {
    for (names, module, class) in [
        (&[][..], "kgateway", "kgateway"),
        (&["nginx"], "nginx", "nginx"),
        (&["nginx-public"], "nginx", "nginx-public"),
        (&["nginx", "nginx-public"], "nginx", "nginx"),
        (&["acme"], "generic", "acme"),
        (&["acme", "kgateway", "nginx"], "kgateway", "kgateway"),
        (&["kgateway-internal", "nginx"], "kgateway", "kgateway-internal"),
        (&["kgateway", "kgateway-internal"], "kgateway", "kgateway"),
        (&["istio", "istio-remote", "istio-waypoint", "far"], "istio", "istio"),
        (&["istio-remote", "kgateway-waypoint", "acme-mesh"], "kgateway", "kgateway"),
    ] {
        let selected = choose(names).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        assert_eq!((selected.module.as_str(), selected.class.as_deref()), (module, Some(class)), "{names:?}");
    }
    let error = choose(&["istio", "nginx"]).expect_err("several").to_string();
    for word in ["istio", "nginx", "spec.gateway.module", "spec.gateway.className"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn what_is_not_accepted_or_not_readable_is_no_target_and_not_nothing() {
    let waiting = ClassesRead::Read(vec![class("nginx", "gateway.nginx.org/nginx", None)]);
    let error = select(&modules(), &waiting, Wanted::default(), None).expect_err("not accepted");
    assert!(
        matches!(error, SelectError::NotAccepted { .. }),
        "kgateway is not taken while another is on its way: {error}"
    );
    let unreadable = ClassesRead::Unreadable { right: "list gatewayclasses".into() };
    let error = select(&modules(), &unreadable, Wanted::default(), None).expect_err("unreadable");
    assert!(error.to_string().contains("list gatewayclasses"), "{error}");
    // Who names the module needs no such right, and what is recorded goes on.
    let named = Wanted { module: Some("nginx"), class: None };
    assert_eq!(select(&modules(), &unreadable, named, None).expect("named").class.as_deref(), Some("nginx"));
    let recorded = record(&choose(&["nginx"]).expect("chosen"));
    let kept = select(&modules(), &unreadable, Wanted::default(), Some(&recorded)).expect("kept");
    assert!(kept.degraded.is_none() && kept.notes[0].contains("list gatewayclasses"), "{kept:?}");
}

#[test]
fn a_named_class_brings_the_module_of_its_controller() {
    let of = |class| {
        select(
            &modules(),
            &installed(&["nginx", "nginx-public", "istio-remote", "acme-mesh"]),
            Wanted { module: None, class: Some(class) },
            None,
        )
    };
    assert_eq!(of("nginx-public").expect("there").module, "nginx");
    assert_eq!(of("acme-mesh").expect("the plane's word overrules the look of a name").module, "generic");
    assert!(matches!(of("istio-remote"), Err(SelectError::NotEligible { .. })));
    assert!(matches!(of("other"), Err(SelectError::ClassMissing { .. })));
}

#[test]
fn a_recorded_module_that_is_not_compiled_in_stops_instead_of_moving() {
    let mut recorded = record(&choose(&["nginx"]).expect("chosen"));
    recorded.module = "gone".into();
    let result = select(&modules(), &installed(&["kgateway"]), Wanted::default(), Some(&recorded));
    assert!(matches!(result, Err(SelectError::UnknownModule { .. })));
}

#[test]
fn a_changed_module_or_class_is_followed_and_the_plan_asks_for_the_outage() {
    let recorded = record(&choose(&["nginx"]).expect("chosen"));
    let all = installed(&["nginx", "kgateway", "nginx-public"]);
    let to = |wanted| select(&modules(), &all, wanted, Some(&recorded)).expect("chosen");
    let moved = to(Wanted { module: Some("kgateway"), class: None });
    assert_eq!((moved.module.as_str(), moved.class.as_deref()), ("kgateway", Some("kgateway")));
    let moved = to(Wanted { module: Some("nginx"), class: Some("nginx-public") });
    assert_eq!(moved.class.as_deref(), Some("nginx-public"));
}

#[test]
fn a_class_in_the_hands_of_another_controller_is_degraded() {
    let recorded = record(&choose(&["acme"]).expect("chosen"));
    let taken = ClassesRead::Read(vec![class("acme", "other.example/gateway", Some(true))]);
    let kept = select(&modules(), &taken, Wanted::default(), Some(&recorded)).expect("kept");
    assert!(kept.degraded.is_some_and(|degraded| degraded.stops_writes()));
}

proptest! {
    #[test]
    fn nothing_ineligible_is_ever_chosen(classes in any_classes()) {
        if let Ok(selected) = select(&modules(), &classes, Wanted::default(), None) {
            let name = selected.class.clone().unwrap_or_default();
            prop_assert!(!INELIGIBLE.contains(&name.as_str()), "{name}");
            match classes.get(&name) {
                Some(class) => prop_assert_eq!(class.accepted, Some(true)),
                None => prop_assert_eq!(&selected.reason, &Reason::NothingInstalled),
            }
            for other in &selected.switch_available {
                prop_assert!(!INELIGIBLE.contains(&other.class.as_str()));
            }
        }
    }

    #[test]
    fn what_is_recorded_is_kept_whatever_is_installed_then(first in any_classes(), later in any_classes()) {
        if let Ok(selected) = select(&modules(), &first, Wanted::default(), None) {
            let recorded = record(&selected);
            let kept = select(&modules(), &later, Wanted::default(), Some(&recorded));
            let kept = kept.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!((&kept.module, &kept.class), (&selected.module, &selected.class));
            let there = later.get(&recorded.class);
            prop_assert_eq!(kept.degraded.is_none(), there.is_some_and(|class| class.accepted == Some(true)));
            let vanished = matches!(kept.degraded, Some(Degraded::ClassVanished { .. }));
            prop_assert_eq!(vanished, there.is_none());
            let itself = kept.switch_available.iter().any(|other| other.class == recorded.class);
            prop_assert!(!itself, "a plane cannot move to where it is");
        }
    }

    #[test]
    fn the_order_of_the_classes_does_not_matter(classes in any_classes()) {
        let mut reversed = classes.known().to_vec();
        reversed.reverse();
        let name = |classes: &ClassesRead| select(&modules(), classes, Wanted::default(), None).ok().map(|selected| (selected.module, selected.class));
        let reversed = ClassesRead::Read(reversed);
        prop_assert_eq!(name(&classes), name(&reversed));
    }
}
