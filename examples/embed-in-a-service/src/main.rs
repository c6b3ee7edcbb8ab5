//! `cargo run -p embed-in-a-service -- 127.0.0.1:8090`: the API, and the controller beside it in the same process.

use std::error::Error;

use gateway_modules::core::cluster::ClusterOptions;
use gateway_modules_controller::{ControllerOptions, ReconcilerOptions};
use kube::Client;
use tokio::{net::TcpListener, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let client = Client::try_default().await?;
    let cluster = ClusterOptions::default().with_holder("embed-in-a-service");
    let reconciler = ReconcilerOptions::default().with_cluster(cluster.clone());
    let controller = gateway_modules_controller::run(
        client.clone(),
        gateway_modules::registry()?,
        ControllerOptions::default().with_reconciler(reconciler),
        async { drop(signal::ctrl_c().await) },
    );
    let listener = TcpListener::bind(&address).await?;
    let api = axum::serve(listener, embed_in_a_service::api(client, cluster))
        .with_graceful_shutdown(async { drop(signal::ctrl_c().await) });
    let (controller, api) = tokio::join!(controller, api);
    controller?;
    Ok(api?)
}
