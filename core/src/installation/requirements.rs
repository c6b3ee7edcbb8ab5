//! What policies need of the installation, as values of its chart.

use serde::Serialize;
use serde_json::Value;

use super::{
    Chart,
    values::{get_value, set_value},
};
use crate::module::Requirement;

/// A requirement that an installation does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the installation must have `{}` = {}, and has {found}: {}", .requirement.setting, .requirement.value, .requirement.reason)]
#[serde(rename_all = "camelCase")]
pub struct Unmet {
    /// The requirement.
    #[serde(flatten)]
    pub requirement: Requirement,
    /// What there is instead.
    pub found: String,
}

/// Path of the setting, and whether the value is an item of a list there; `None` when the setting is no value of the chart.
fn path<'a>(chart: &Chart, requirement: &'a Requirement) -> Option<(&'a str, bool)> {
    let (path, item) = match requirement.setting.strip_suffix("[]") {
        Some(path) => (path, true),
        None => (requirement.setting.as_str(), false),
    };
    let root = |path: &str| path.split('.').next().map(ToOwned::to_owned);
    let known = chart.values.iter().any(|value| root(value.path) == root(path));
    (known && !path.contains([' ', ':'])).then_some((path, item))
}

/// Requirements write values as texts: JSON where it is JSON, else the text itself.
pub(super) fn value(requirement: &Requirement) -> Value {
    serde_json::from_str(&requirement.value).unwrap_or_else(|_| Value::String(requirement.value.clone()))
}

/// Some charts want `true` as a text, and requirements do not tell: the same text is the same value.
pub(super) fn same_value(left: &Value, right: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    left == right || text(left) == text(right)
}

/// An item with the same `name` is the same item.
pub(super) fn same_item(left: &Value, right: &Value) -> bool {
    left == right || (left["name"].is_string() && left["name"] == right["name"])
}

/// Changes values so that a requirement is met; `false` when it is about something that no value of the chart decides.
pub fn fold_requirement(chart: &Chart, values: &mut Value, requirement: &Requirement) -> bool {
    let Some((path, item)) = path(chart, requirement) else { return false };
    let wanted = value(requirement);
    if !item {
        if !get_value(values, path).is_some_and(|present| same_value(present, &wanted)) {
            set_value(values, path, wanted);
        }
        return true;
    }
    let mut items = get_value(values, path).and_then(Value::as_array).cloned().unwrap_or_default();
    match items.iter_mut().find(|present| same_item(present, &wanted)) {
        Some(present) => *present = wanted,
        None => items.push(wanted),
    }
    set_value(values, path, Value::Array(items));
    true
}

/// Requirements that values do not meet. What no value of the chart decides is left out: nothing here knows it.
pub fn unmet(chart: &Chart, values: &Value, requirements: &[Requirement]) -> Vec<Unmet> {
    let missing = |requirement: &Requirement| {
        let (path, item) = path(chart, requirement)?;
        let (wanted, found) = (value(requirement), get_value(values, path));
        let met = if item {
            found.and_then(Value::as_array).is_some_and(|items| items.contains(&wanted))
        } else {
            found.is_some_and(|found| same_value(found, &wanted))
        };
        let found = found.map_or_else(|| "the chart's default".to_owned(), ToString::to_string);
        (!met).then(|| Unmet { requirement: requirement.clone(), found })
    };
    requirements.iter().filter_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::installation::{ChartSource, ChartValue, Known, ValueKind};

    fn chart() -> Chart {
        let known = Known::Verified { source: "test" };
        let source = ChartSource::Repository { url: "https://charts.test".to_owned() };
        Chart::new("a", "1.0.0", "a", source).with_values([
            ChartValue::documented("mesh", ValueKind::Mapping, "test", known),
            ChartValue::documented("crd.enabled", ValueKind::Boolean, "test", known),
        ])
    }

    fn requirement(setting: &str, value: &str) -> Requirement {
        Requirement { setting: setting.to_owned(), value: value.to_owned(), reason: "test".to_owned() }
    }

    #[test]
    fn what_is_folded_is_met_and_folding_twice_changes_nothing() {
        let all = [requirement("crd.enabled", "true"), requirement("mesh.providers[]", r#"{"name":"a","x":1}"#)];
        let mut values = json!({"mesh": {"providers": [{"name": "b"}]}});
        assert_eq!(unmet(&chart(), &values, &all).len(), 2);
        for _ in 0..2 {
            assert!(all.iter().all(|requirement| fold_requirement(&chart(), &mut values, requirement)));
        }
        assert_eq!(unmet(&chart(), &values, &all), []);
        assert_eq!(
            values,
            json!({"crd": {"enabled": true}, "mesh": {"providers": [{"name": "b"}, {"name": "a", "x": 1}]}})
        );
    }

    #[test]
    fn what_no_value_decides_is_left_alone() {
        let mut values = json!({});
        assert!(!fold_requirement(&chart(), &mut values, &requirement("Secret a of Gateway b: ca.crt", "x")));
        assert_eq!((values.clone(), unmet(&chart(), &values, &[requirement("image", "x")])), (json!({}), Vec::new()));
    }

    #[test]
    fn the_form_that_the_chart_wants_is_kept() {
        let mut values = json!({"crd": {"enabled": "true"}});
        let need = requirement("crd.enabled", "true");
        assert!(fold_requirement(&chart(), &mut values, &need));
        assert_eq!((&values, unmet(&chart(), &values, &[need])), (&json!({"crd": {"enabled": "true"}}), Vec::new()));
    }

    #[test]
    fn the_exact_value_is_named() {
        let unmet = unmet(&chart(), &json!({"crd": {"enabled": false}}), &[requirement("crd.enabled", "true")]);
        assert_eq!(unmet[0].to_string(), "the installation must have `crd.enabled` = true, and has false: test");
    }
}
