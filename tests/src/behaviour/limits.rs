//! Rate limits: the requests that show them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::scene::{Scene, Shown, expect, fresh, send};
use crate::lab::{CLIENT_ADDRESSES, request::Get};
pub(super) async fn rate(scene: &Scene, host: &str) -> Shown {
    // A header does not choose another bucket.
    let gets: Vec<Get> =
        (0..8).map(|number| scene.get(host, "/").header("x-forwarded-for", &format!("192.0.2.{number}"))).collect();
    // The requests that waited for the route have emptied it in part.
    let statuses = on_a_full_bucket(&gets, false).await?;
    expect(statuses == [200, 200, 200, 200, 200, 429, 429, 429], "five pass, the sixth does not", &statuses)?;
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let later = [send(&scene.get(host, "/")).await?.status, send(&scene.get(host, "/")).await?.status];
    Ok(format!("{statuses:?}, after 2.2 s {later:?}"))
}

pub(super) async fn rate_by_client(scene: &Scene, host: &str) -> Shown {
    let mut all = Vec::new();
    for client in CLIENT_ADDRESSES.into_iter().take(2) {
        let get = scene.get(host, "/").from(client).header("x-forwarded-for", "192.0.2.77");
        // It has sent nothing yet.
        let statuses = on_a_full_bucket(&vec![get; 6], true).await?;
        expect(statuses == [200, 200, 200, 200, 200, 429], "five of each client pass", &statuses)?;
        all.push(statuses);
    }
    Ok(format!("two clients: {all:?}"))
}

/// Statuses of requests on a bucket that was full when the first came and got nothing while they were sent: it has one more
/// after two seconds, so that requests that took longer say nothing.
async fn on_a_full_bucket(gets: &[Get], mut full: bool) -> Shown<Vec<u16>> {
    for _ in 0..10 {
        if !std::mem::take(&mut full) {
            tokio::time::sleep(Duration::from_secs(11)).await;
        }
        let (start, mut statuses) = (Instant::now(), Vec::new());
        for get in gets {
            statuses.push(send(get).await?.status);
        }
        if start.elapsed() < Duration::from_millis(1900) {
            return Ok(statuses);
        }
    }
    Err(format!("this machine has not sent {} requests in 1.9 s in any of ten attempts", gets.len()))
}

pub(super) async fn shared_rate(scene: &Scene, host: &str) -> Shown {
    for client in ["one", "two"].map(fresh) {
        let statuses = limited(&[scene.external], host, &client).await?;
        expect(statuses == [200, 200, 200, 200, 200, 429, 429, 429], "five of each client pass", &statuses)?;
    }
    let replicas = scene.replicas(2).await?;
    let shared = async {
        scene.served_by_all(&replicas, host).await?;
        limited(&replicas, host, &fresh("shared")).await
    };
    let shared = shared.await;
    scene.replicas(1).await?;
    let statuses = shared?;
    expect(statuses == [200, 200, 200, 200, 200, 429, 429, 429], "five pass, whichever replica is asked", &statuses)?;
    Ok(format!("two clients, and one at two replicas of the gateway by turns: {statuses:?} each"))
}

/// Statuses of eight requests of a client, to these addresses by turns.
async fn limited(addresses: &[SocketAddr], host: &str, client: &str) -> Shown<Vec<u16>> {
    let mut statuses = Vec::new();
    for address in addresses.iter().cycle().take(8) {
        statuses.push(send(&Get::new(*address, host, "/").header("x-client", client)).await?.status);
    }
    Ok(statuses)
}
