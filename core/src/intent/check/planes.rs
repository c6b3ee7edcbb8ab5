//! Data planes.

use super::{
    listeners,
    place::{At, Checker},
    policies,
};
use crate::intent::{Install, codes};

pub(super) fn check(checker: &mut Checker<'_>) {
    for plane in &checker.intent.data_planes {
        let at = At::data_plane(plane).field("spec");
        let gateway = &plane.spec.gateway;
        if let (Install::Managed, Some(class), None) = (gateway.install, &gateway.class_name, &gateway.module) {
            checker.error(
                &at.field("gateway/install"),
                codes::MANAGED_CLASS,
                format!("which gateway has the class `{class}` is not known before it is installed"),
                "name the gateway in `module` as well, or leave `className` out",
            );
        }
        for (name, visibility) in &plane.spec.visibilities {
            listeners::check(checker, &at.field("visibilities").key(name).field("listeners"), visibility);
        }
        policies::check(checker, &at.field("policies/defaults"), &plane.spec.policies.defaults);
        policies::check(checker, &at.field("policies/overrides"), &plane.spec.policies.overrides);
    }
}
