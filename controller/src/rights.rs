//! Which right a watch misses.
//!
//! kube (4.2) reads the answer to a watch line by line, and the API server writes a refusal over several lines: the error of
//! a watch that is not allowed is one about JSON. So the API server is asked.

use gateway_modules::core::cluster::ClusterError;
use kube::{Client, core::ApiResource};
use serde_json::{Value, json};

/// The right that is missing, if it is one that keeps a watch of all namespaces from working.
pub(crate) async fn missing_for_a_watch(client: &Client, resource: &ApiResource) -> Option<ClusterError> {
    for verb in ["list", "watch"] {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"group": resource.group, "resource": resource.plural, "verb": verb}},
        });
        let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .body(review.to_string().into_bytes())
            .ok()?;
        let answer: Value = client.request(request).await.ok()?;
        if answer["status"]["allowed"] == false {
            return Some(ClusterError::Forbidden {
                verb,
                group: resource.group.clone(),
                resource: resource.plural.clone(),
                namespace: None,
                message: String::new(),
            });
        }
    }
    None
}
