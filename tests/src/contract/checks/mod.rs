//! The checks: each with what it proves and how a failure is mended.

mod capability;
mod combinations;
mod identity;
mod schemas;
mod security;
mod stable;

use gateway_modules_core::{capability::CapabilityName, module::GatewayModule};

use super::{Bench, CheckInfo, CheckReport, Options};

/// What the checks look at.
pub(super) struct Subject<'a> {
    /// The module.
    pub(super) module: &'a dyn GatewayModule,
    /// The module at each version, with the CRDs of each channel.
    pub(super) benches: Vec<Bench<'a>>,
    /// What the author has given.
    pub(super) options: &'a Options,
}

impl<'a> Subject<'a> {
    /// The newest version.
    fn newest(&self) -> Option<&Bench<'a>> {
        self.benches.last()
    }

    /// What the newest version can do, with the CRDs of either channel.
    fn declared_by_newest(&self) -> Vec<CapabilityName> {
        let Some(newest) = self.newest() else { return Vec::new() };
        let benches = self.benches.iter().filter(|bench| bench.version == newest.version);
        benches.flat_map(|bench| bench.capabilities().names()).collect()
    }
}

type Check = (CheckInfo, fn(&Subject<'_>, &mut CheckReport));

/// In the order in which failures are best mended.
const CHECKS: &[Check] = &[
    (
        CheckInfo {
            name: "metadata",
            proves: "the module can be named, its versions are ordered, and its default version has a table",
            fix: "correct `metadata()`: name and namespace are DNS labels, versions are minor lines, oldest first",
        },
        identity::metadata,
    ),
    (
        CheckInfo {
            name: "versions",
            proves: "every declared version has capabilities with evidence, patch releases have those of their line, and a \
                     newer line than all known ones has the newest",
            fix: "give each line of `metadata().versions` a table in `declared()`, with evidence in every entry",
        },
        identity::versions,
    ),
    (
        CheckInfo {
            name: "determinism",
            proves: "the same intent gives the same bytes, whatever the order of its documents",
            fix: "use ordered maps in `provision`, `map` and `assemble`, and no clock, randomness or global state",
        },
        stable::deterministic,
    ),
    (
        CheckInfo {
            name: "totality",
            proves: "the report has a verdict for every leaf of every sample, and cites only bytes that are there",
            fix: "return an outcome for every leaf of every remaining kind, with citations into what the mapping emits",
        },
        stable::total,
    ),
    (
        CheckInfo {
            name: "declared is emitted",
            proves: "each declared policy kind, and each declared form of one, compiles from a sample and cites its bytes",
            fix: "an over-claim: map the kind, or take it out of `declared()` for this version and channel",
        },
        capability::declared_is_emitted,
    ),
    (
        CheckInfo {
            name: "undeclared is refused",
            proves: "a policy kind that is not declared gives a refusal with a reason and alternatives, and nothing else",
            fix: "declare the kind if the gateway has it; refuse it in `map` if not",
        },
        capability::undeclared_is_refused,
    ),
    (
        CheckInfo {
            name: "withdrawn is refused",
            proves: "the capability is what decides: the same gateway without it refuses the kind, with a reason, and emits \
                     nothing",
            fix: "ask `cx.has(…)` for everything that the mapping relies on, and never emit a kind that is not remaining",
        },
        capability::withdrawn_is_refused,
    ),
    (
        CheckInfo {
            name: "mapped is declared",
            proves: "every policy kind that the module can map is declared by some version, so users are not refused what works",
            fix: "an under-claim: declare the kind in `declared()` for the versions that have it, with its evidence, or take \
                  its mapping out",
        },
        capability::mapped_is_declared,
    ),
    (
        CheckInfo {
            name: "published is declared",
            proves: "what the live class publishes in `status.supportedFeatures` is declared, so users are not refused what works",
            fix: "an under-claim: declare the feature in `declared()` for the version of that class, with the conformance \
                  report or the live class as evidence",
        },
        capability::published_is_declared,
    ),
    (
        CheckInfo {
            name: "shown is declared",
            proves: "what requests through the real gateway have shown is declared, so users are not refused what works",
            fix: "an under-claim: declare the kind in `declared()` for the version that was running, with the run as evidence",
        },
        capability::shown_is_declared,
    ),
    (
        CheckInfo {
            name: "security in force",
            proves: "each security policy of a release is in force for every rule and visibility of its binding and for no \
                     other, or there is no release",
            fix: "set `Mapping::enforcement` for every security kind that is mapped, and refuse what would cover less or more",
        },
        security::in_force,
    ),
    (
        CheckInfo {
            name: "closed form",
            proves: "a route whose security attaches from outside has a form that lets nothing through: same hosts, parents \
                     and matches, no filters, a backend that does not exist, or a filter that does not; and it waits for every \
                     attached policy",
            fix: "give an attached policy an acknowledgement and an object that carries it",
        },
        security::closed,
    ),
    (
        CheckInfo {
            name: "combinations",
            proves: "two policies on one endpoint keep the bytes, filters and annotations that each has alone, or are refused",
            fix: "merge into the object of the target instead of replacing it; refuse kinds that cannot stand together",
        },
        combinations::nothing_lost,
    ),
    (
        CheckInfo {
            name: "schemas",
            proves: "an API server with the real CRDs accepts every object that any sample gives, and drops no field of it",
            fix: "correct the vendor objects that the adapter emits; the message names the rule of the CRD",
        },
        schemas::valid,
    ),
];

/// What each check proves, in their order.
pub(super) fn catalogue() -> Vec<CheckInfo> {
    CHECKS.iter().map(|(info, _)| *info).collect()
}

/// Stops at metadata that are wrong: without versions that can be read there is nothing to compile for.
pub(super) fn run(subject: &Subject<'_>) -> Vec<CheckReport> {
    let mut reports: Vec<CheckReport> = Vec::new();
    for (info, check) in CHECKS {
        let mut report = CheckReport::new(*info);
        if reports.first().is_some_and(|metadata| !metadata.failures.is_empty()) {
            report.skipped = Some("the metadata are wrong".to_owned());
        } else {
            check(subject, &mut report);
        }
        reports.push(report);
    }
    reports
}
