//! What a vendor's documentation says becomes of an intent, written by hand, compared with what an adapter makes of it.
//!
//! A folder holds YAML files, each with one case or a list of cases, and in a comment the source of what is expected:
//!
//! ```yaml
//! # CRD Middleware .spec.buffering.maxRequestBodyBytes (413 above it).
//! kind: Middleware
//! intent: { bodySizeLimit: { max: 10Mi } }
//! spec: { buffering: { maxRequestBodyBytes: 10485760 } }
//! ```
//!
//! The fields are those of [`Case`]. Golden files say that nothing has changed; these say that it was right to begin with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use gateway_modules_core::{
    channel::Channel,
    compile::{Compiled, Release},
    intent::policies::{Policies, PolicyKind},
    module::{ContributionValue, GatewayModule},
    validate::{NotChecked, SchemaError, Schemas, Verdict, validate},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    contract::{Bench, accepting, differences},
    error::Error,
    samples::Documents,
};

/// An intent, and what is expected of it: objects, a rule, annotations and settings, or a refusal.
///
/// The intent is that of the endpoint `api` (HTTP, port 8080, host `api.example.com`) of the component `catalog` in the
/// namespace `shop`, seen on the visibility `external` of the plane `default`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Case {
    /// Version of the gateway. Absent: the module's default.
    pub version: Option<String>,
    /// Channel of the CRDs of Gateway API.
    #[serde(default)]
    pub channel: Channel,
    /// `gateway.parameters`.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// Fields of the visibility `external`, for example `listeners`.
    #[serde(default)]
    pub visibility: Map<String, Value>,
    /// Fields of the endpoint besides `policies`, for example `rules`.
    #[serde(default)]
    pub endpoint: Map<String, Value>,
    /// Policies of the endpoint.
    pub intent: Value,
    /// All differences of the result, by name. They are accepted for this case, and without that nothing is released.
    #[serde(default)]
    pub accept: BTreeSet<String>,
    /// Kind of an object, where there is just one.
    kind: Option<String>,
    /// As [`ExpectedObject::at`], for that object.
    at: Option<String>,
    /// As [`ExpectedObject::spec`], for that object.
    spec: Option<Value>,
    /// Several objects.
    #[serde(default)]
    objects: Vec<ExpectedObject>,
    /// What the rule of the route holds besides its name, its matches and its backends.
    pub rule: Option<Value>,
    /// All annotations that objects of others get.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Settings of the installation that are required, among others.
    #[serde(default)]
    pub requires: Vec<ExpectedSetting>,
    /// Nothing is released, and this is a part of the reason.
    pub refused: Option<String>,
}

/// An object that must be emitted once. `<name>`, or any other text in angle brackets, stands for any text.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectedObject {
    /// Its kind.
    pub kind: String,
    /// Pointer to the part that is compared, from the spec. Absent: the whole spec.
    #[serde(default)]
    pub at: String,
    /// The spec, or the part; without `targetRefs` those of the object are not looked at.
    pub spec: Option<Value>,
    /// For objects without a spec: all but `apiVersion`, `kind` and `metadata`.
    pub object: Option<Value>,
}

/// A setting of the installation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectedSetting {
    /// Path of the value in the chart, or the name of the option.
    pub setting: String,
    /// Its value.
    pub value: String,
}

impl Case {
    /// The objects, however they were written.
    pub fn objects(&self) -> Vec<ExpectedObject> {
        let one = self.kind.iter().map(|kind| ExpectedObject {
            kind: kind.clone(),
            at: self.at.clone().unwrap_or_default(),
            spec: self.spec.clone(),
            object: None,
        });
        one.chain(self.objects.iter().cloned()).collect()
    }

    /// The documents of the intent.
    pub fn documents(&self, module: &str) -> Documents {
        let mut gateway = json!({ "module": module });
        if !self.parameters.is_empty() {
            gateway["parameters"] = Value::Object(self.parameters.clone());
        }
        let mut visibility = Map::from_iter([("namespace".to_owned(), "gateways".into())]);
        visibility.extend(self.visibility.clone());
        let plane = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "DataPlane", "metadata": { "name": "default" },
            "spec": {
                "gateway": gateway,
                "visibilities": { "external": visibility },
                "allowedReferences": [{ "from": "gateways", "to": "observability" }, { "from": "shop", "to": "auth" }],
            },
        });
        let mut endpoint = json!({
            "name": "api", "type": "HTTP", "port": 8080, "visibilities": ["external"], "hostnames": ["api.example.com"],
            "policies": self.intent,
        });
        for (name, value) in &self.endpoint {
            endpoint[name] = value.clone();
        }
        let component = json!({
            "apiVersion": "gatewaymodules.dev/v1alpha1", "kind": "Component",
            "metadata": { "name": "catalog", "namespace": "shop" },
            "spec": { "endpoints": [endpoint] },
        });
        Documents::new(plane, component)
    }

    /// Compiles the case; the differences are accepted, and told.
    ///
    /// # Errors
    /// The intent is none.
    pub fn compile(&self, module: &dyn GatewayModule) -> Result<(Compiled, Vec<String>), String> {
        let metadata = module.metadata();
        let version = self.version.as_deref().unwrap_or(metadata.default_version);
        let bench = Bench::new(module, version, self.channel, self.parameters.clone());
        let compile = |documents: &Documents| {
            let intent = documents.load().map_err(|problems| problems.to_string())?;
            bench.compile_intent(&intent).map_err(|refused| refused.0.to_string())
        };
        let documents = self.documents(metadata.name);
        let compiled = compile(&documents)?;
        let names = differences(&compiled);
        if compiled.release.is_some() || names.is_empty() {
            return Ok((compiled, names));
        }
        Ok((compile(&accepting(&documents, &names))?, names))
    }

    fn check(&self, module: &dyn GatewayModule, schemas: &[(Channel, Schemas)]) -> Result<(), String> {
        let (compiled, differences) = self.compile(module)?;
        if let Some(reason) = &self.refused {
            let said = compiled.diagnostics.to_string();
            if compiled.release.is_some() {
                return Err(format!("it is emitted, and not refused because {reason:?}"));
            }
            let report = serde_json::to_string(&compiled.report).map_err(|error| error.to_string())?;
            return if said.contains(reason) || report.contains(reason) {
                Ok(())
            } else {
                Err(format!("it is refused, but not because {reason:?}: {said}"))
            };
        }
        let Some(release) = &compiled.release else { return Err(compiled.diagnostics.to_string()) };
        let differences: BTreeSet<String> = differences.into_iter().collect();
        if differences != self.accept {
            return Err(format!("the differences are {differences:?}, not {:?}", self.accept));
        }
        for expected in self.objects() {
            expected.find(release)?;
        }
        self.check_rule(release)?;
        self.check_surroundings(release)?;
        let schemas = schemas.iter().filter(|(channel, _)| *channel == self.channel).map(|(_, schemas)| schemas);
        for (object, schemas) in schemas.flat_map(|schemas| release.objects.iter().map(move |object| (object, schemas)))
        {
            match validate(&object.object, schemas).verdict {
                Verdict::Valid | Verdict::NotChecked(NotChecked::BuiltIn) => {}
                verdict => return Err(format!("{}: {verdict:?}", object.object.key())),
            }
        }
        Ok(())
    }

    fn check_rule(&self, release: &Release) -> Result<(), String> {
        let Some(expected) = &self.rule else { return Ok(()) };
        let route = release.objects.iter().find(|object| object.object.kind().kind == "HTTPRoute");
        let rule = route.and_then(|route| route.object.pointer("/spec/rules/0").cloned());
        let Some(Value::Object(mut rule)) = rule else { return Err("there is no HTTPRoute with a rule".to_owned()) };
        for other in ["matches", "name", "backendRefs"] {
            rule.remove(other);
        }
        same("the rule", &Value::Object(rule), expected)
    }

    fn check_surroundings(&self, release: &Release) -> Result<(), String> {
        let annotations = release.contributions.iter().filter_map(|contribution| match &contribution.value {
            ContributionValue::Annotation { name, value } => Some((name.clone(), value.as_str().into())),
            _ => None,
        });
        same("what is annotated", &Value::Object(annotations.collect()), &json!(self.annotations))?;
        for expected in &self.requires {
            let mut settings = release.requires.iter();
            if !settings.any(|one| one.setting == expected.setting && one.value == expected.value) {
                return Err(format!("{} {} is not required", expected.setting, expected.value));
            }
        }
        Ok(())
    }
}

impl ExpectedObject {
    fn find(&self, release: &Release) -> Result<(), String> {
        let Some(expected) = self.spec.as_ref().or(self.object.as_ref()) else {
            return Err(format!("neither spec nor object of {} is given", self.kind));
        };
        let mut found = Vec::new();
        for object in release.objects.iter().filter(|object| object.object.kind().kind == self.kind) {
            let mut value = if self.object.is_some() {
                object.object.to_value()
            } else {
                object.object.pointer(&format!("/spec{}", self.at)).cloned().unwrap_or_default()
            };
            if let Some(fields) = value.as_object_mut() {
                for core in ["apiVersion", "kind", "metadata"].iter().filter(|_| self.object.is_some()) {
                    fields.remove(*core);
                }
                if expected.get("targetRefs").is_none() {
                    fields.remove("targetRefs");
                }
            }
            found.push(value);
        }
        match found.iter().filter(|value| like(value, expected) == *expected).count() {
            1 => Ok(()),
            count => Err(format!(
                "{count} objects of kind {} are as expected, not one\n  expected {expected}\n  found    {}",
                self.kind,
                Value::Array(found)
            )),
        }
    }
}

fn same(what: &str, found: &Value, expected: &Value) -> Result<(), String> {
    if like(found, expected) == *expected {
        Ok(())
    } else {
        Err(format!("{what} is not as expected\n  expected {expected}\n  found    {found}"))
    }
}

/// The value with `<…>` in place of texts for which the expected one has that.
fn like(value: &Value, expected: &Value) -> Value {
    match (value, expected) {
        (Value::String(_), Value::String(text)) if text.starts_with('<') && text.ends_with('>') => expected.clone(),
        (Value::Object(fields), Value::Object(expected)) => fields
            .iter()
            .map(|(name, value)| (name.clone(), expected.get(name).map_or_else(|| value.clone(), |it| like(value, it))))
            .collect(),
        (Value::Array(items), Value::Array(expected)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| expected.get(index).map_or_else(|| item.clone(), |it| like(item, it)))
            .collect(),
        _ => value.clone(),
    }
}

/// The cases of a folder, each with the name of its file, in the order of the names.
///
/// # Errors
/// The folder or a file cannot be read, or a file holds no cases.
pub fn cases(folder: &Path) -> Result<Vec<(String, Case)>, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum File {
        List(Vec<Value>),
        One(Value),
    }
    let entries = fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let invalid = |reason: String| Error::ExpectedObjects { path: path.clone(), reason };
        let values = match serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))? {
            File::List(list) => list,
            File::One(one) => vec![one],
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for value in values {
            let case = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
            cases.push((name.clone().into_owned(), case));
        }
    }
    Ok(cases)
}

/// What came of a folder of cases.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ExpectedReport {
    /// How many cases there are with something emitted.
    pub emitted: usize,
    /// How many there are with a refusal.
    pub refused: usize,
    /// Policy kinds of all cases.
    pub kinds: BTreeSet<PolicyKind>,
    /// What is not as expected, each with the file.
    pub failures: Vec<String>,
}

impl ExpectedReport {
    /// Panics with all failures, for use in a test.
    ///
    /// # Panics
    /// Something is not as expected, or there is no case.
    pub fn assert_passes(&self) {
        assert!(self.emitted > 0, "there is no case with something emitted");
        assert!(self.failures.is_empty(), "{self}");
    }
}

impl fmt::Display for ExpectedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.len();
        write!(f, "{} cases emitted and {} refused, of {kinds} policy kinds", self.emitted, self.refused)?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n{failure}"))
    }
}

/// The CRDs of a folder in both channels, for [`run`]; none without a folder.
///
/// # Errors
/// They cannot be read.
pub fn schemas(folder: Option<&Path>) -> Result<Vec<(Channel, Schemas)>, Error> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    let load = |channel| {
        let unreadable =
            |error: SchemaError| Error::ExpectedObjects { path: folder.to_owned(), reason: error.to_string() };
        Ok((channel, Schemas::load_folder(folder, channel).map_err(unreadable)?))
    };
    [Channel::Standard, Channel::Experimental].into_iter().map(load).collect()
}

/// Compares all cases of a folder with what the module makes of them; objects must also be valid under CRDs, where there are some.
///
/// # Errors
/// The folder or a case cannot be read.
pub fn run(module: &dyn GatewayModule, folder: &Path, schemas: &[(Channel, Schemas)]) -> Result<ExpectedReport, Error> {
    let mut report = ExpectedReport::default();
    for (file, case) in cases(folder)? {
        *if case.refused.is_some() { &mut report.refused } else { &mut report.emitted } += 1;
        match serde_json::from_value::<Policies>(case.intent.clone()) {
            Ok(policies) => report.kinds.extend(policies.kinds()),
            Err(error) => report.failures.push(format!("{file}: {error}")),
        }
        if let Err(problem) = case.check(module, schemas) {
            report.failures.push(format!("{file}: {} {problem}", case.intent));
        }
    }
    Ok(report)
}
