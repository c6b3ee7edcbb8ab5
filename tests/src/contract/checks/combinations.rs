//! Two policies on one endpoint: each keeps what it has alone.

use super::{
    super::{CheckReport, bench, observe},
    Subject,
};
use crate::samples;

pub(super) fn nothing_lost(subject: &Subject<'_>, check: &mut CheckReport) {
    let (mut released, mut refused) = (0, 0);
    for bench in &subject.benches {
        let alone: Vec<_> = samples::common()
            .into_iter()
            .filter_map(|sample| {
                let (compiled, accepted) = bench.compile_accepting(&sample.documents).ok()?;
                compiled.release.is_some().then_some((sample, compiled, accepted))
            })
            .collect();
        for (index, (first, _, first_accepts)) in alone.iter().enumerate() {
            for (second, _, second_accepts) in alone.iter().skip(index + 1) {
                let Some(both) = samples::combined(&first.documents, &second.documents) else { continue };
                let mut accepts: Vec<String> = first_accepts.iter().chain(second_accepts).cloned().collect();
                accepts.sort();
                accepts.dedup();
                let Ok((together, _)) = bench.compile_accepting(&bench::accepting(&both, &accepts)) else { continue };
                let case = format!("{}: {} with {}", bench.name(), first.name(), second.name());
                let Some(release) = &together.release else {
                    refused += 1;
                    check.case(together.diagnostics.only_refusals(), || {
                        format!("{case}: {}", observe::errors(&together))
                    });
                    continue;
                };
                released += 1;
                // Each alone, on the endpoint and plane of both, so that names and listeners are the same.
                for kind in [first.kind, second.kind] {
                    let other = if kind == first.kind { second } else { first };
                    let Some(single) = without(&both, other, kind) else { continue };
                    let Ok((single, _)) = bench.compile_accepting(&bench::accepting(&single, &accepts)) else {
                        continue;
                    };
                    let Some(single_release) = &single.release else { continue };
                    let (before, after) = (observe::cited(&single, kind), observe::cited(&together, kind));
                    check.case(before.is_subset(&after), || {
                        let lost: Vec<_> = before.difference(&after).collect();
                        let new: Vec<_> = after.difference(&before).collect();
                        format!("{case}: {kind} differs: {lost:?} became {new:?}")
                    });
                    let (before, after) = (observe::route_parts(single_release), observe::route_parts(release));
                    check.case(before.is_subset(&after), || {
                        format!("{case}: the route loses {:?}", before.difference(&after).collect::<Vec<_>>())
                    });
                }
            }
        }
    }
    check.notes.push(format!("{released} pairs compile, {refused} are refused"));
}

/// The endpoint of both without the policies of one sample, and with those of `kind`.
fn without(
    both: &samples::Documents,
    other: &samples::Sample,
    kind: gateway_modules_core::intent::policies::PolicyKind,
) -> Option<samples::Documents> {
    let mut single = both.clone();
    let fields: Vec<String> =
        other.documents.component().pointer("/spec/endpoints/0/policies")?.as_object()?.keys().cloned().collect();
    let endpoint = single.component_mut().pointer_mut("/spec/endpoints/0")?.as_object_mut()?;
    let policies = endpoint.get_mut("policies")?.as_object_mut()?;
    for field in fields.iter().filter(|field| **field != kind.field()) {
        // A claim needs the token that both ask for.
        if !(field == "jwt" && kind.field() == "claimsAuthorization") {
            policies.remove(field);
        }
    }
    Some(single)
}
