//! What verdicts mean for the release: a refusal stops it, and so does a difference that nobody has accepted.

use std::collections::BTreeSet;

use super::{compilation::Compilation, ledger::Hole};
use crate::{
    diagnostic::{Category, Diagnostic, Severity},
    intent::{FieldRef, policies::PolicyKind},
    module::Verdict,
    resolve::DataPlaneTopology,
};

/// Names of differences that are accepted, and where.
pub(super) struct Accepted(Vec<(Option<String>, String, FieldRef)>);

impl Accepted {
    pub(super) fn of(plane: &DataPlaneTopology) -> Self {
        let mut accepted = Vec::new();
        for (endpoint, name, field) in &plane.accepted {
            match endpoint {
                None => accepted.push((None, name.clone(), field.clone())),
                Some(endpoint) => {
                    for route in plane.routes.iter().filter(|route| route.source == *endpoint) {
                        accepted.push((Some(route.binding.to_string()), name.clone(), field.clone()));
                        // What a gateway binds to a Service or a Gateway differs there, for all who use it and ask for
                        // the same.
                        accepted.push((
                            Some(format!("Gateway {}", route.binding.visibility)),
                            name.clone(),
                            field.clone(),
                        ));
                        for backend in route.rules.iter().flat_map(|rule| &rule.backends) {
                            let place = format!("Service {}/{}", backend.namespace, backend.service);
                            accepted.push((Some(place), name.clone(), field.clone()));
                        }
                    }
                }
            }
        }
        Self(accepted)
    }

    /// Whether a difference is accepted in a place.
    pub(super) fn has(&self, place: &str, name: &str) -> bool {
        self.0.iter().any(|(binding, accepted, _)| {
            accepted == name && binding.as_ref().is_none_or(|binding| place.starts_with(binding.as_str()))
        })
    }
}

/// Turns verdicts into errors, and says of each acceptance whether it was needed.
pub(super) fn judge(compilation: &mut Compilation<'_>, accepted: &Accepted) {
    let mut used: BTreeSet<String> = BTreeSet::new();
    let verdicts: Vec<(FieldRef, String, Verdict)> = compilation
        .ledger
        .verdicts()
        .map(|(field, place, verdict)| (field.clone(), place.to_owned(), verdict.clone()))
        .collect();
    for (field, place, verdict) in verdicts {
        match verdict {
            Verdict::Unsupported { reason, alternatives } => {
                let message = if place.is_empty() { reason } else { format!("{place}: {reason}") };
                let help = (!alternatives.is_empty()).then(|| alternatives.join("; or "));
                compilation.diagnostic("GWM0601", Category::Refused, &field, message, help);
            }
            Verdict::Approximate { differences } => {
                let security = kind_of(&field).is_some_and(PolicyKind::is_security);
                for difference in differences {
                    used.insert(difference.name.clone());
                    if security && !difference.stricter {
                        let message =
                            format!("{place}: {} would be weaker than asked: {}", difference.name, difference.text);
                        let help =
                            "a security policy is never approximated to something weaker; another module may have it"
                                .to_owned();
                        compilation.diagnostic("GWM0603", Category::Refused, &field, message, Some(help));
                    } else if !accepted.has(&place, &difference.name) {
                        let message = format!("{place}: {}", difference.text);
                        let help = format!("if that will do, accept it by name: `accept: [{}]`", difference.name);
                        compilation.diagnostic("GWM0602", Category::Refused, &field, message, Some(help));
                    }
                }
            }
            _ => {}
        }
    }
    for (_, name, field) in &accepted.0 {
        if used.contains(name) {
            compilation.ledger.decides(field.clone(), format!("accepts the difference {name}"));
        } else {
            let reason = format!("nothing here differs by {name}");
            compilation.ledger.claim(field.clone(), "", Verdict::Inactive { reason });
        }
    }
}

/// The policy kind that a field belongs to.
fn kind_of(field: &FieldRef) -> Option<PolicyKind> {
    let tokens: Vec<&str> = field.pointer.split('/').collect();
    let policies = tokens.iter().position(|token| *token == "policies")?;
    tokens.iter().skip(policies + 1).find_map(|token| PolicyKind::from_field(token))
}

/// Holes in the ledger stop the release: they are bugs, and a field that nobody speaks for may be lost.
pub(super) fn holes(compilation: &mut Compilation<'_>, holes: Vec<Hole>) {
    let stopped = compilation.diagnostics.has_errors();
    for hole in holes {
        let (code, field, message) = match hole {
            Hole::Unclaimed(field) => ("GWM0502", field, "nothing says what became of this field".to_owned()),
            Hole::Dangling(field, what) => {
                ("GWM0503", field, format!("the report cites bytes that are not there: {what}"))
            }
        };
        // After a refusal the parts that were not compiled have no bytes and no claims: that is no news.
        if stopped {
            continue;
        }
        compilation.diagnostics.push(Diagnostic {
            code,
            severity: Severity::Error,
            category: Category::Invalid,
            document: field.document.to_string(),
            pointer: field.pointer.clone(),
            origin: compilation.input.intent.origin(&field),
            message,
            help: Some(
                "this is a bug of Gateway Modules or of the module: please report it with the intent".to_owned(),
            ),
        });
    }
}
