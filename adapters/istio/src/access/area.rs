//! What part of the requests a match takes, and which of two matches wins, in terms that an AuthorizationPolicy has.

use std::cmp::Ordering;

use gateway_modules_core::intent::{EndpointType, Match, PathMatch};

use crate::resources::Operation;

/// Paths of an area.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Paths {
    All,
    Exact(String),
    /// The path and everything below it; without a trailing slash, never the root.
    Prefix(String),
}

impl Paths {
    fn holds(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(own) => own == path,
            Self::Prefix(own) => {
                path.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (_, Self::All) | (Self::Exact(_), Self::Prefix(_)) => false,
            (_, Self::Exact(path) | Self::Prefix(path)) => self.holds(path),
        }
    }

    /// As the policy writes them; empty means any.
    fn texts(&self) -> Vec<String> {
        match self {
            Self::All => Vec::new(),
            Self::Exact(path) => vec![path.clone()],
            Self::Prefix(path) => vec![path.clone(), format!("{path}/*")],
        }
    }
}

/// The requests that a match takes. Where the match has conditions that a policy cannot say, the area is larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    paths: Paths,
    method: Option<String>,
    /// Whether the match takes all requests of the area.
    pub(super) exact: bool,
    /// Order of Gateway API among matches (`HTTPRouteRule.matches`); absent where the order is the gateway's own.
    rank: Option<(u8, usize, bool, usize, usize)>,
    grpc: bool,
}

impl Area {
    pub(super) fn of(endpoint: EndpointType, item: &Match) -> Self {
        let mut area = if endpoint == EndpointType::Grpc { Self::grpc(item) } else { Self::http(item) };
        if !item.headers.is_empty() || !item.query_params.is_empty() {
            area.exact = false;
        }
        if matches!(&area.paths, Paths::Exact(path) | Paths::Prefix(path) if path.contains('*')) {
            // In a policy `*` at an end of a text stands for anything (security/authorization-policy, "match types").
            area.paths = Paths::All;
            area.exact = false;
        }
        if let Some(rank) = &mut area.rank {
            rank.2 = area.method.is_some();
            rank.3 = item.headers.len();
            rank.4 = item.query_params.len();
        }
        area
    }

    fn http(item: &Match) -> Self {
        let (paths, exact, rank) = match &item.path {
            None => (Paths::All, true, Some((1, 1))),
            Some(PathMatch::Exact(path)) => {
                (Paths::Exact(path.as_str().to_owned()), true, Some((2, path.as_str().len())))
            }
            Some(PathMatch::Prefix(path)) if path.trimmed() == "/" => (Paths::All, true, Some((1, 1))),
            Some(PathMatch::Prefix(path)) => {
                (Paths::Prefix(path.trimmed().to_owned()), true, Some((1, path.trimmed().len())))
            }
            Some(PathMatch::RegularExpression(_)) => (Paths::All, false, None),
        };
        Self {
            paths,
            method: item.method.as_ref().map(|method| method.as_str().to_owned()),
            exact,
            rank: rank.map(|(kind, length)| (kind, length, false, 0, 0)),
            grpc: false,
        }
    }

    fn grpc(item: &Match) -> Self {
        let method = item.grpc.as_ref();
        let (paths, exact, rank) =
            match (method.and_then(|grpc| grpc.service.as_ref()), method.and_then(|grpc| grpc.method.as_ref())) {
                (Some(service), Some(method)) => {
                    let path = format!("/{service}/{method}");
                    let length = path.len();
                    (Paths::Exact(path), true, Some((2, length)))
                }
                (Some(service), None) => {
                    (Paths::Prefix(format!("/{service}")), true, Some((1, service.as_str().len())))
                }
                // A method of any service is no prefix.
                (None, Some(_)) => (Paths::All, false, None),
                (None, None) => (Paths::All, true, Some((0, 0))),
            };
        Self { paths, method: None, exact, rank: rank.map(|(kind, length)| (kind, length, false, 0, 0)), grpc: true }
    }

    /// Whether a request can be in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let methods = match (&self.method, &other.method) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        methods && (self.paths.covers(&other.paths) || other.paths.covers(&self.paths))
    }

    /// Which of two matches takes a request that fits both; `Equal` where nothing says so.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        match (&self.rank, &other.rank) {
            (Some(own), Some(theirs)) if self.grpc == other.grpc => own.cmp(theirs),
            _ => Ordering::Equal,
        }
    }

    pub(super) fn operation(&self) -> Operation {
        Operation {
            paths: self.paths.texts().into_iter().collect(),
            methods: self.method.iter().cloned().collect(),
            ..Operation::default()
        }
    }

    /// The operations, which are all of this area, without another area.
    pub(super) fn without(&self, operations: Vec<Operation>, other: &Self) -> Vec<Operation> {
        let mut left = Vec::new();
        for operation in operations {
            if !other.paths.covers(&self.paths) {
                let mut part = operation.clone();
                part.not_paths.extend(other.paths.texts());
                left.push(part);
            }
            if let Some(method) = other.method.as_ref().filter(|method| self.method.as_ref() != Some(method)) {
                let mut part = operation;
                part.not_methods.insert(method.clone());
                left.push(part);
            }
        }
        left
    }
}
