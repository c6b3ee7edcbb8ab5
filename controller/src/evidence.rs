//! What a plane's gateway was judged by, for its status.

use gateway_modules::{
    Target,
    core::module::{ClassesRead, Fact, InstalledDefinitions},
};

/// One line per fact, with where it was read; what could not be read says why.
pub(crate) fn evidence(target: &Target, classes: &ClassesRead, definitions: &InstalledDefinitions) -> Vec<String> {
    let mut lines = vec![line("version", &target.version)];
    if let Some(class) = target.selected.class.as_deref().and_then(|name| classes.get(name)) {
        let features = match class.features.len() {
            0 => "publishes no features".to_owned(),
            number => format!("publishes {number} features"),
        };
        let said = if class.message.is_empty() { String::new() } else { format!("; {}", class.message) };
        lines.push(format!("GatewayClass {} of {}: {features}{said}", class.name, class.controller));
    }
    lines.push(line("Gateway API", &definitions.bundle_version));
    lines.push(line("channel", &definitions.channel));
    lines
}

fn line(what: &str, fact: &Fact<impl ToString>) -> String {
    match &fact.value {
        Some(value) => format!("{what} {}: {}", value.to_string(), fact.source),
        None => format!("{what} not known: {}", fact.source),
    }
}
