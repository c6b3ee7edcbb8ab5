//! Logs on standard error; spans to a collector, where the controller is asked for them.

use std::{any::Any, env};

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::exit::Failure;

/// What must live as long as the program: it sends what is pending when it is dropped.
pub(crate) type Pending = Option<Box<dyn Any>>;

/// Logs what `GWM_LOG` asks for (for example `GWM_LOG=debug`), else warnings, and of the controller what it does.
///
/// # Errors
/// The variables of OpenTelemetry ask for what cannot be done.
#[cfg_attr(not(feature = "otlp"), expect(clippy::unnecessary_wraps, reason = "with the feature it can fail"))]
pub(crate) fn init(controller: bool) -> Result<Pending, Failure> {
    let unasked = if controller { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("GWM_LOG").unwrap_or_else(|_| unasked.into());
    let logs = fmt::layer().with_writer(std::io::stderr).with_filter(filter);
    let wanted = controller && spans_wanted();
    #[cfg(feature = "otlp")]
    if wanted {
        let (layer, spans) = crate::spans::layer()?;
        let _ = tracing_subscriber::registry().with(logs).with(layer).try_init();
        return Ok(Some(Box::new(spans)));
    }
    let _ = tracing_subscriber::registry().with(logs).try_init();
    if wanted {
        tracing::warn!("no span is sent: this program was built without the feature `otlp`");
    }
    Ok(None)
}

/// Whether a collector is named, by the standard variables of OpenTelemetry. Without a name nothing is sent: most clusters have
/// none at the standard's default address.
fn spans_wanted() -> bool {
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value.eq_ignore_ascii_case(wanted));
    let named = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        .iter()
        .any(|name| env::var(name).is_ok_and(|value| !value.is_empty()));
    named && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}
