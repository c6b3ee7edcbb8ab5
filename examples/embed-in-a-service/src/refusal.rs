//! What the service answers when it does not do what it was asked.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gateway_modules::{
    RegistryError,
    core::{cluster::ClusterError, diagnostic::Diagnostics},
};
use serde_json::json;

/// Why a request is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The intent is wrong, or the installed gateway cannot do what it asks: each with field, reason and mend.
    Invalid(Diagnostics),
    /// The API server said no, or nothing.
    Cluster(kube::Error),
    /// The cluster could not be read or planned for.
    Plan(ClusterError),
    /// Others than the component would take over objects of somebody else.
    Foreign(Vec<String>),
    /// Two adapters have one name: a mistake of the build.
    Registry(RegistryError),
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        Self::Cluster(error)
    }
}

impl From<ClusterError> for Refusal {
    fn from(error: ClusterError) -> Self {
        Self::Plan(error)
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<Diagnostics> for Refusal {
    fn from(problems: Diagnostics) -> Self {
        Self::Invalid(problems)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Invalid(problems) => (StatusCode::UNPROCESSABLE_ENTITY, json!({"problems": problems})),
            Self::Cluster(kube::Error::Api(status)) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::BAD_GATEWAY);
                (code, json!({"error": status.message}))
            }
            Self::Cluster(error) => (StatusCode::BAD_GATEWAY, json!({"error": error.to_string()})),
            Self::Plan(error) => (StatusCode::BAD_GATEWAY, json!({"error": error.to_string()})),
            Self::Foreign(objects) => (
                StatusCode::CONFLICT,
                json!({"error": "others would take over objects of somebody else", "objects": objects}),
            ),
            Self::Registry(error) => (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": error.to_string()})),
        };
        (status, Json(body)).into_response()
    }
}
