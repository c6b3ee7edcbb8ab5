//! Deployments of a gateway's controller: which version runs, and which Helm release has made it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ClusterReader, Fact, ModuleVersion, ReadError};
use crate::object::GroupVersionKind;

const DEPLOYMENT: GroupVersionKind = GroupVersionKind::of("apps", "v1", "Deployment");

/// Version of a controller, by the image of its Deployment, else by the chart's label `app.kubernetes.io/version`. `images` are
/// the ends of image names, for example `cilium/operator-generic`; the namespace of the default installation is looked at first.
///
/// # Errors
/// The cluster does not answer; what may not be read is a missing fact and no error.
pub async fn controller_version(
    images: &[&str],
    namespace: &str,
    cluster: &dyn ClusterReader,
) -> Result<Fact<ModuleVersion>, ReadError> {
    if images.is_empty() {
        let source = "the module knows no Deployment of its controller".to_owned();
        return Ok(Fact { value: None, source });
    }
    let (deployments, forbidden) = deployments(images, namespace, cluster).await?;
    if !deployments.is_empty() {
        return Ok(one_version(&deployments.iter().filter_map(|deployment| version_of(deployment, images)).collect()));
    }
    let source = forbidden.map_or_else(
        || format!("no Deployment has an image {}", images.join(" or ")),
        |error| format!("{error} (missing right: list deployments.apps)"),
    );
    Ok(Fact { value: None, source })
}

/// A release of Helm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct HelmRelease {
    /// Name.
    pub name: String,
    /// Namespace of its record.
    pub namespace: String,
}

/// The Helm release that has made a controller, by the annotations that Helm writes on all that it makes
/// (`meta.helm.sh/release-name`, since Helm 3.2); `None` when there is none, or not one. Arguments are those of [`controller_version`].
///
/// # Errors
/// The cluster does not answer.
pub async fn controller_release(
    images: &[&str],
    namespace: &str,
    cluster: &dyn ClusterReader,
) -> Result<Option<HelmRelease>, ReadError> {
    let (deployments, _) = deployments(images, namespace, cluster).await?;
    let release = |deployment: &Value| {
        let annotation = |name: &str| deployment["metadata"]["annotations"][name].as_str().map(ToOwned::to_owned);
        Some(HelmRelease {
            name: annotation("meta.helm.sh/release-name")?,
            namespace: annotation("meta.helm.sh/release-namespace")?,
        })
    };
    let mut releases: BTreeSet<HelmRelease> = deployments.iter().filter_map(release).collect();
    Ok(releases.pop_first().filter(|_| releases.is_empty()))
}

/// Deployments with one of the images, of the namespace or else of any, and what could not be read where there are none.
async fn deployments(
    images: &[&str],
    namespace: &str,
    cluster: &dyn ClusterReader,
) -> Result<(Vec<Value>, Option<String>), ReadError> {
    let mut forbidden = None;
    for place in [Some(namespace), None] {
        match cluster.list(&DEPLOYMENT, place).await {
            Ok(mut deployments) => {
                deployments.retain(|deployment| image_of(deployment, images).is_some());
                if !deployments.is_empty() {
                    return Ok((deployments, None));
                }
                if place.is_none() {
                    forbidden = None;
                }
            }
            Err(error @ ReadError::Forbidden { .. }) => forbidden = Some(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok((Vec::new(), forbidden))
}

fn image_of<'a>(deployment: &'a Value, images: &[&str]) -> Option<&'a str> {
    let containers = deployment.pointer("/spec/template/spec/containers")?.as_array()?;
    containers.iter().filter_map(|container| container["image"].as_str()).find(|image| {
        let (name, _) = name_and_tag(image);
        images.iter().any(|wanted| name == *wanted || name.ends_with(&format!("/{wanted}")))
    })
}

fn version_of(deployment: &Value, images: &[&str]) -> Option<(String, Result<ModuleVersion, String>)> {
    let image = image_of(deployment, images)?;
    let metadata = &deployment["metadata"];
    let part = |field: &str| metadata[field].as_str().unwrap_or_default();
    let place = format!("image {image} of Deployment {}/{}", part("namespace"), part("name"));
    let label = metadata["labels"]["app.kubernetes.io/version"].as_str();
    let texts = [name_and_tag(image).1, label];
    let version = texts.into_iter().flatten().find_map(|text| ModuleVersion::new(text).ok());
    Some((
        place,
        version.ok_or_else(|| "neither its tag nor the label app.kubernetes.io/version is a version".to_owned()),
    ))
}

/// Name and tag of an image, without its digest.
fn name_and_tag(image: &str) -> (&str, Option<&str>) {
    let image = image.split('@').next().unwrap_or_default();
    match image.rsplit_once(':') {
        // A colon before a slash is that of a port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

fn one_version(found: &BTreeMap<String, Result<ModuleVersion, String>>) -> Fact<ModuleVersion> {
    let versions: Vec<&ModuleVersion> = found.values().filter_map(|version| version.as_ref().ok()).collect();
    let places = found.keys().cloned().collect::<Vec<_>>().join("; ");
    match versions.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => {
            Fact { value: Some((*first).clone()), source: places }
        }
        [] => {
            let why = found.values().find_map(|version| version.as_ref().err()).cloned().unwrap_or_default();
            Fact { value: None, source: format!("{places}: {why}") }
        }
        // While an upgrade is under way, or with several installations: none of them is the version.
        _ => Fact { value: None, source: format!("several versions run: {places}; name one in gateway.version") },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::held::{Held, ready},
        *,
    };

    fn deployment(namespace: &str, image: &str, label: &str) -> Value {
        json!({
            "metadata": {"name": "x", "namespace": namespace, "labels": {"app.kubernetes.io/version": label}},
            "spec": {"template": {"spec": {"containers": [{"image": "envoy:v9"}, {"image": image}]}}},
        })
    }

    #[test]
    fn a_version_is_that_of_the_image_then_of_the_label() {
        let version = |deployments: Vec<Value>, forbidden: Vec<&'static str>| {
            let held = Held { objects: BTreeMap::from([("Deployment", deployments)]), forbidden };
            ready(controller_version(&["cilium/operator-generic", "pilot"], "istio-system", &held)).expect("answers")
        };
        for (image, label, wanted) in [
            ("quay.io/cilium/operator-generic:v1.20.0@sha256:00", "", Some("1.20.0")),
            ("registry:5000/istio/pilot:1.30.3-distroless", "", Some("1.30.3-distroless")),
            ("registry:5000/istio/pilot@sha256:00", "1.31.0", Some("1.31.0")),
            ("registry:5000/istio/pilot:latest", "none", None),
            ("other/operator-generic:v1.20.0", "", None),
        ] {
            let fact = version(vec![deployment("elsewhere", image, label)], Vec::new());
            assert_eq!(fact.value.as_ref().map(ModuleVersion::as_str), wanted, "{}", fact.source);
        }
        let two = vec![deployment("a", "pilot:1.30.0", ""), deployment("b", "pilot:1.31.0", "")];
        assert!(version(two, Vec::new()).source.contains("several"));
        let fact = version(Vec::new(), vec!["Deployment"]);
        assert!(fact.value.is_none() && fact.source.contains("list deployments.apps"), "{}", fact.source);
    }

    #[test]
    fn the_release_is_the_one_that_helm_wrote_on_the_controller() {
        let made_by = |release: &str| {
            let mut made = deployment("istio-system", "pilot:1.30.3", "");
            made["metadata"]["annotations"] =
                json!({"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "istio-system"});
            made
        };
        let release = |deployments: Vec<Value>| {
            let held = Held { objects: BTreeMap::from([("Deployment", deployments)]), ..Held::default() };
            ready(controller_release(&["pilot"], "istio-system", &held)).expect("answers")
        };
        let istiod = HelmRelease { name: "istiod".to_owned(), namespace: "istio-system".to_owned() };
        assert_eq!(release(vec![made_by("istiod"), made_by("istiod")]), Some(istiod));
        assert_eq!(release(vec![made_by("istiod"), made_by("other")]), None, "which of them?");
        assert_eq!(release(vec![deployment("istio-system", "pilot:1.30.3", "")]), None, "kubectl apply");
    }
}
