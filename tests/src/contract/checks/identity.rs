//! Metadata and versions.

use std::collections::BTreeSet;

use gateway_modules_core::{
    module::ModuleVersion,
    types::{DnsLabel, DnsSubdomain},
};

use super::{super::CheckReport, Subject};

pub(super) fn metadata(subject: &Subject<'_>, check: &mut CheckReport) {
    let metadata = subject.module.metadata();
    check.case(DnsLabel::new(metadata.name).is_ok(), || format!("name {:?} is no DNS label", metadata.name));
    check.case(!metadata.title.trim().is_empty(), || "the title is empty".to_owned());
    check.case(DnsLabel::new(metadata.default_namespace).is_ok(), || {
        format!("default_namespace {:?} is no DNS label", metadata.default_namespace)
    });
    let class = metadata.default_class.is_none_or(|class| DnsSubdomain::new(class).is_ok());
    check.case(class, || format!("default_class {:?} is no DNS name", metadata.default_class));
    check.case(metadata.homepage.starts_with("https://"), || {
        format!("homepage {:?} is no https URL", metadata.homepage)
    });
    for controller in metadata.controllers {
        // GatewayController of Gateway API: a domain, a slash and a path.
        let valid = controller
            .split_once('/')
            .is_some_and(|(domain, path)| DnsSubdomain::new(domain).is_ok() && !path.is_empty());
        check.case(valid, || format!("controller {controller:?} is not `domain/path`"));
    }
    let versions: Result<Vec<_>, _> = metadata.versions.iter().map(|version| ModuleVersion::new(version)).collect();
    match versions {
        Err(reason) => check.fail(reason),
        Ok(versions) => {
            check.case(!versions.is_empty(), || "no version has a table".to_owned());
            check.case(versions.windows(2).all(|pair| pair[0] < pair[1]), || {
                format!("versions {:?} are not ordered, oldest first", metadata.versions)
            });
            let line = ModuleVersion::new(metadata.default_version).map(|version| version.line());
            check.case(versions.iter().any(|version| line == Ok(version.line())), || {
                format!(
                    "default_version {:?} is on none of the lines {:?}",
                    metadata.default_version, metadata.versions
                )
            });
        }
    }
}

pub(super) fn versions(subject: &Subject<'_>, check: &mut CheckReport) {
    let newest = subject.benches.last().map(|bench| bench.version.clone()).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for bench in subject.benches.iter().filter(|bench| seen.insert(bench.version.clone())) {
        let Ok(version) = ModuleVersion::new(&bench.version) else { continue };
        let capabilities = subject.module.declared(&version);
        check.case(!capabilities.is_empty(), || format!("{}: nothing is declared", bench.version));
        for (name, capability) in capabilities.iter() {
            let evidence = !capability.evidence.is_empty()
                && capability
                    .evidence
                    .iter()
                    .all(|evidence| !evidence.source.is_empty() && !evidence.version.is_empty());
            check.case(evidence, || format!("{}: {name} has no evidence", bench.version));
        }
        // Where a patch release has a table of its own, an unknown later one has that.
        let mut listed = subject.module.metadata().versions.iter().filter_map(|listed| ModuleVersion::new(listed).ok());
        let newest = listed.rfind(|listed| listed.line() == version.line()).unwrap_or(version);
        if let Ok(patch) = ModuleVersion::new(&format!("{}.99", bench.version)) {
            check.case(subject.module.declared(&patch) == subject.module.declared(&newest), || {
                format!("{}.99 differs from {newest}", bench.version)
            });
        }
    }
    if let (Ok(newest), Ok(next)) = (ModuleVersion::new(&newest), ModuleVersion::new("99.0")) {
        check.case(subject.module.declared(&next) == subject.module.declared(&newest), || {
            "99.0 differs from the newest line".to_owned()
        });
    }
}
