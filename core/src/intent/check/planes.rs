//! Data planes.

use super::{
    listeners,
    place::{At, Checker},
    policies,
};

pub(super) fn check(checker: &mut Checker<'_>) {
    for plane in &checker.intent.data_planes {
        let at = At::data_plane(plane).field("spec");
        for (name, visibility) in &plane.spec.visibilities {
            listeners::check(checker, &at.field("visibilities").key(name).field("listeners"), visibility);
        }
        policies::check(checker, &at.field("policies/defaults"), &plane.spec.policies.defaults);
        policies::check(checker, &at.field("policies/overrides"), &plane.spec.policies.overrides);
    }
}
