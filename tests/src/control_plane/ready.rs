//! When a control plane counts as started.

use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};

use crate::Error;

const PAUSE: Duration = Duration::from_millis(100);

/// A deadline that remembers the last answer, for the error message.
pub(crate) struct Waiting {
    start: Instant,
    timeout: Duration,
}

impl Waiting {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { start: Instant::now(), timeout }
    }

    /// Until `/readyz` says ok.
    pub(crate) async fn api_server(
        &self,
        client: &Client,
        check: impl FnMut() -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.until("the API server", check, async || {
            let request = http::Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
            client.request_text(request).await.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    /// Until the controllers have made the service account that every namespace gets.
    pub(crate) async fn controllers(
        &self,
        client: &Client,
        check: impl FnMut() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ServiceAccount"));
        let accounts: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
        self.until("the service account `default`", check, async || {
            accounts.get("default").await.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    async fn until(
        &self,
        waiting_for: &'static str,
        mut check: impl FnMut() -> Result<(), Error>,
        mut ask: impl AsyncFnMut() -> Result<(), String>,
    ) -> Result<(), Error> {
        loop {
            check()?;
            let last = match tokio::time::timeout(Duration::from_secs(5), ask()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(reason)) => reason,
                Err(_) => "no answer within 5 s".to_owned(),
            };
            if self.start.elapsed() > self.timeout {
                return Err(Error::NotReady { waiting_for, seconds: self.timeout.as_secs(), last, log: String::new() });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
