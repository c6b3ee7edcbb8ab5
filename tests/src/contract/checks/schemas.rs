//! Every emitted object is valid under the real CRDs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use gateway_modules_core::{
    channel::Channel,
    object::Object,
    validate::{self, NotChecked, SchemaError, Schemas, Verdict},
};

use super::{super::CheckReport, Subject, security};
use crate::samples;

/// Folders that were read: it takes seconds, and a test runs the suite for one module after the other.
static READ: Mutex<BTreeMap<(PathBuf, &'static str), Arc<Schemas>>> = Mutex::new(BTreeMap::new());

fn read(folder: &Path, channel: Channel) -> Result<Arc<Schemas>, SchemaError> {
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (folder.to_owned(), channel.as_str());
    if let Some(schemas) = read.get(&key) {
        return Ok(schemas.clone());
    }
    let schemas = Arc::new(Schemas::load_folder(folder, channel)?);
    read.insert(key, schemas.clone());
    Ok(schemas)
}

pub(super) fn valid(subject: &Subject<'_>, check: &mut CheckReport) {
    let Some(folder) = &subject.options.schemas else {
        check.skipped = Some("no folder of CRDs is given (`Options::schemas`)".to_owned());
        return;
    };
    let mut schemas = BTreeMap::new();
    for channel in [Channel::Standard, Channel::Experimental] {
        match read(folder, channel) {
            Ok(loaded) => {
                schemas.insert(channel.to_string(), loaded);
            }
            Err(error) => check.fail(error.to_string()),
        }
    }
    let mut unchecked: BTreeMap<String, usize> = BTreeMap::new();
    for bench in &subject.benches {
        let Some(schemas) = schemas.get(&bench.channel.to_string()) else { continue };
        for sample in samples::all() {
            let mut intents = vec![sample.documents.clone()];
            if sample.kind.is_security() {
                intents.push(security::spread(&sample, true, false));
                intents.push(security::spread(&sample, false, true));
            }
            for documents in intents {
                let Ok((compiled, _)) = bench.compile_accepting(&documents) else { continue };
                for object in compiled.release.iter().flat_map(|release| &release.objects) {
                    let case = format!("{}: {}", bench.name(), sample.name());
                    one(check, &mut unchecked, &object.object, schemas, &case);
                    if let Some(gate) = &object.gate {
                        one(check, &mut unchecked, &gate.closed.0, schemas, &format!("{case}, closed"));
                    }
                }
            }
        }
    }
    check.notes.extend(unchecked.into_iter().map(|(what, count)| format!("not checked ({count}): {what}")));
}

fn one(
    check: &mut CheckReport,
    unchecked: &mut BTreeMap<String, usize>,
    object: &Object,
    schemas: &Schemas,
    case: &str,
) {
    let validation = validate::validate(object, schemas);
    match &validation.verdict {
        Verdict::NotChecked(NotChecked::BuiltIn) => {}
        Verdict::NotChecked(reason) => check.fail(format!("{case}: {}: {reason}", object.key())),
        _ => check.case(validation.violations().is_empty(), || {
            let texts: Vec<String> = validation.violations().iter().map(ToString::to_string).collect();
            format!("{case}: {}: {}", object.key(), texts.join("; "))
        }),
    }
    for rule in &validation.unchecked_rules {
        *unchecked.entry(format!("{} {}: {}", object.kind().kind, rule.rule, rule.reason)).or_default() += 1;
    }
}
