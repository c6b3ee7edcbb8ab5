//! A proxy in front of the API server that fails on demand: it refuses, hangs, answers errors, cuts watches, holds writes.
//!
//! It speaks plain HTTP on loopback and asks the API server as whom it was given. Everything that reaches the API server is
//! still in the audit log.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::Error;

/// A request, as far as a fault is chosen by it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxiedRequest {
    /// The method.
    pub method: Method,
    /// Such as `/apis/apps/v1/deployments`.
    pub path: String,
    /// Such as `watch=true`; empty without one.
    pub query: String,
}

impl ProxiedRequest {
    fn new(method: &Method, uri: &Uri) -> Self {
        Self { method: method.clone(), path: uri.path().to_owned(), query: uri.query().unwrap_or_default().to_owned() }
    }

    /// Whether it is a watch.
    pub fn is_watch(&self) -> bool {
        self.query.split('&').any(|part| matches!(part, "watch=true" | "watch=1"))
    }

    /// Whether it asks to change something that lasts: Leases, Events, reviews and dry runs do not count.
    pub fn is_write(&self) -> bool {
        let passing = ["/leases", "/events", "reviews"];
        !matches!(self.method, Method::GET | Method::HEAD)
            && !self.query.contains("dryRun=")
            && !passing.iter().any(|part| self.path.contains(part))
    }

    /// Whether it is about a resource, by its plural, such as `httproutes`.
    pub fn is_about(&self, resource: &str) -> bool {
        self.path.split('/').any(|part| part == resource)
    }
}

/// What happens to a request instead of its being passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No answer ever comes.
    Hang,
    /// The API server's word for an error, with a status such as 429, 500 or 401.
    Status {
        /// The HTTP status.
        code: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// For a watch: it starts, and its first event says 410 Expired.
    Expired,
}

type Choose = dyn Fn(&ProxiedRequest) -> Option<Fault> + Send + Sync;

/// A proxy; it ends when it is dropped, with all that is under way through it.
pub struct FaultyProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: Client,
    fault: Mutex<Arc<Choose>>,
    faults: AtomicUsize,
    /// Writes that were passed on.
    writes: AtomicUsize,
    hold: Mutex<Option<Hold>>,
    held: watch::Sender<bool>,
    released: watch::Sender<bool>,
    gone: watch::Sender<bool>,
    /// Its number changes: all connections end.
    cut: watch::Sender<usize>,
}

#[derive(Clone, Copy)]
struct Hold {
    after: usize,
    lose_answer: bool,
}

impl FaultyProxy {
    /// A proxy without a fault, in front of the API server of a client, with that client's rights.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(upstream: Client) -> Result<Self, Error> {
        let io = |source| Error::io("listen on", "127.0.0.1")(source);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let shared = Arc::new(Shared {
            upstream,
            fault: Mutex::new(Arc::new(|_: &ProxiedRequest| None)),
            faults: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            hold: Mutex::default(),
            held: watch::Sender::new(false),
            released: watch::Sender::new(false),
            gone: watch::Sender::new(false),
            cut: watch::Sender::new(0),
        });
        let task = tokio::spawn(listen(listener, address, Arc::clone(&shared)));
        Ok(Self { shared, address, task })
    }

    /// A kubeconfig that leads through the proxy, without a user.
    ///
    /// # Errors
    /// None in practice: the document is fixed.
    pub fn kubeconfig(&self) -> Result<Kubeconfig, Error> {
        let document = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "current-context": "proxy",
        });
        Ok(Kubeconfig::from_yaml(&document.to_string())?)
    }

    /// A client that leads through the proxy, and gives a connection up on which nothing comes for so long.
    ///
    /// # Errors
    /// When it cannot be made; no request is sent.
    pub async fn client(&self, read_timeout: Option<Duration>) -> Result<Client, Error> {
        let mut config = Config::from_custom_kubeconfig(self.kubeconfig()?, &KubeConfigOptions::default()).await?;
        config.proxy_url = None;
        config.read_timeout = read_timeout;
        Client::try_from(config).map_err(Error::kube("make a client for the proxy"))
    }

    /// From now on, what is chosen happens to each request; what is not chosen is passed on.
    pub fn fail(&self, choose: impl Fn(&ProxiedRequest) -> Option<Fault> + Send + Sync + 'static) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(choose);
    }

    /// No fault from now on.
    pub fn heal(&self) {
        self.fail(|_| None);
        self.shared.gone.send_replace(false);
    }

    /// As if the API server were not there: connections end, and new ones are refused.
    pub fn go_away(&self) {
        self.shared.gone.send_replace(true);
    }

    /// Ends all connections, with all watches on them.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|number| *number += 1);
    }

    /// How many requests have met a fault.
    pub fn faults(&self) -> usize {
        self.shared.faults.load(Ordering::Acquire)
    }

    /// How many writes were passed on; see [`ProxiedRequest::is_write`].
    pub fn writes(&self) -> usize {
        self.shared.writes.load(Ordering::Acquire)
    }

    /// Passes on so many writes, counted from the start of the proxy, and holds all that follow. The answer to the last one
    /// may be lost too.
    pub fn hold_after(&self, writes: usize, lose_answer: bool) {
        *self.shared.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(Hold { after: writes, lose_answer });
    }

    /// Waits until a write is held.
    pub async fn held(&self) {
        let mut held = self.shared.held.subscribe();
        // The sender lives as long as the proxy.
        let _ = held.wait_for(|held| *held).await;
    }

    /// Passes on what is held, and everything that follows.
    pub fn release(&self) {
        *self.shared.hold.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.shared.released.send_replace(true);
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections; while the API server is gone the port is closed.
async fn listen(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut listener = Some(listener);
    let mut gone = shared.gone.subscribe();
    let mut cut = shared.cut.subscribe();
    let mut connections = JoinSet::new();
    loop {
        if *gone.borrow_and_update() {
            listener = None;
            connections.abort_all();
            if gone.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(address).await {
                Ok(again) => listener = Some(again),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            },
            _ = gone.changed() => {}
            _ = cut.changed() => connections.abort_all(),
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // A connection that ends early is what this is for.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, kube::Error> {
    let seen = ProxiedRequest::new(request.method(), request.uri());
    let choose = Arc::clone(&shared.fault.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(fault) = choose(&seen) {
        shared.faults.fetch_add(1, Ordering::AcqRel);
        return match fault {
            Fault::Hang => std::future::pending().await,
            Fault::Status { code, retry_after } => Ok(status(code, retry_after)),
            Fault::Expired => Ok(expired()),
        };
    }
    let mut lose = false;
    if seen.is_write() {
        let hold = *shared.hold.lock().unwrap_or_else(PoisonError::into_inner);
        let number = shared.writes.fetch_add(1, Ordering::AcqRel) + 1;
        if let Some(hold) = hold {
            if number > hold.after {
                shared.writes.fetch_sub(1, Ordering::AcqRel);
                wait(&shared).await;
                shared.writes.fetch_add(1, Ordering::AcqRel);
            }
            lose = hold.lose_answer && number == hold.after;
        }
    }
    let answer = pass(request, &shared.upstream).await;
    if lose {
        wait(&shared).await;
    }
    answer
}

async fn wait(shared: &Shared) {
    let mut released = shared.released.subscribe();
    shared.held.send_replace(true);
    if released.wait_for(|released| *released).await.is_err() {
        std::future::pending().await
    }
}

async fn pass(request: Request<Incoming>, upstream: &Client) -> Result<Response<Body>, kube::Error> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|error| kube::Error::Service(error.into()))?.to_bytes();
    if let Some(path) = parts.uri.path_and_query() {
        parts.uri = Uri::from(path.clone());
    }
    // They are about this connection, not the next one.
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let mut response = upstream.send(Request::from_parts(parts, Body::from(body))).await?;
    for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

fn status(code: u16, retry_after: Option<Duration>) -> Response<Body> {
    let reason = match code {
        401 => "Unauthorized",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "reason": reason, "code": code,
        "message": format!("{reason}, says the proxy"),
    });
    let mut response = json_response(body.to_string());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    response
}

fn expired() -> Response<Body> {
    let event = json!({"type": "ERROR", "object": {
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
        "message": "too old resource version, says the proxy",
    }});
    json_response(format!("{event}\n"))
}

fn json_response(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into_bytes()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
