//! Which requests a policy must refuse. Pure: it is given what is live.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use crate::{
    cluster::status::urls::{ParentRef, addresses, narrower},
    compile::{Phase, PolicyStatement, Release},
    intent::policies::PolicyKind,
    object::{GroupVersionKind, ObjectKey},
    plan::{ANNOTATION_CLOSED, Identity},
};

const GATEWAY: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "Gateway");
/// Stands for any label of a host that is written with `*`.
const ANY_LABEL: &str = "gateway-modules-probe";
/// Most requests for one policy; the rest is told to be left out.
const MOST: usize = 256;

/// A request without credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request {
    /// An address that the status of the Gateway publishes.
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Of the route; that of the address where the route has none.
    pub(super) host: String,
    pub(super) method: String,
    /// With the query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
}

impl Request {
    /// `Host`, with the port where it is not that of the scheme.
    pub(super) fn authority(&self) -> String {
        let standard = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == standard { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{} {scheme}://{}{} at {}", self.method, self.authority(), self.path, self.address)
    }
}

/// Requests that a policy must refuse.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) requests: BTreeSet<Request>,
    /// What could not be asked, and why.
    pub(super) left_out: Option<String>,
}

/// Why nothing is asked about a policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unasked {
    /// No request without credentials can show it.
    Never(String),
    /// Not as the cluster is.
    Now(String),
}

/// Why no request without credentials shows a kind; `None` for kinds that must refuse one.
const fn unprovokable(kind: PolicyKind) -> Option<&'static str> {
    Some(match kind {
        PolicyKind::Jwt | PolicyKind::ApiKey | PolicyKind::BasicAuth | PolicyKind::ClientCertificate => return None,
        PolicyKind::ExternalAuthorization => {
            "whether a request without credentials is refused is for the authorization service to say"
        }
        PolicyKind::ClaimsAuthorization => "a request without a token is refused by jwt before",
        PolicyKind::IpAccess => "whether a request is refused depends on where it comes from",
        PolicyKind::BackendTls => "it is about the way to the backend",
        _ => "it refuses nobody for missing credentials",
    })
}

/// The Gateways of protected routes that are not among these objects: existing ones, which are not managed.
pub(in crate::cluster) fn gateways(release: &Release, objects: &BTreeMap<Identity, Value>) -> BTreeSet<ObjectKey> {
    let places = release.policies.iter().flat_map(|statement| &statement.places);
    let routes: BTreeSet<Identity> = places.map(|(route, _)| Identity::from(route)).collect();
    let mut missing = BTreeSet::new();
    for route in routes.iter().filter_map(|route| objects.get(route)) {
        missing.extend(parents(route).into_iter().map(|parent| gateway_of(&parent)));
    }
    missing.retain(|key| !objects.contains_key(&Identity::from(key)));
    missing
}

fn parents(route: &Value) -> Vec<ParentRef<'_>> {
    let namespace = route["metadata"]["namespace"].as_str().unwrap_or_default();
    let parents = route["spec"]["parentRefs"].as_array().into_iter().flatten();
    parents.map(|parent| ParentRef::read(parent, namespace)).filter(|parent| parent.kind == "Gateway").collect()
}

fn gateway_of(parent: &ParentRef<'_>) -> ObjectKey {
    ObjectKey { kind: GATEWAY, namespace: Some(parent.namespace.to_owned()), name: parent.name.to_owned() }
}

/// All matches of a release, by the hosts of their routes as they are written: which rule takes a request.
pub(super) struct Rules(BTreeMap<Option<String>, Vec<(ObjectKey, usize, Value)>>);

impl Rules {
    pub(super) fn of(release: &Release) -> Self {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let routes = release.objects.iter().filter(|entry| entry.phase == Phase::Routes);
        for entry in routes.filter(|entry| entry.object.kind().kind == "HTTPRoute") {
            let list = |pointer: &str| entry.object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
            let hosts: Vec<_> = list("/spec/hostnames").map(|host| host.as_str().map(ToOwned::to_owned)).collect();
            let hosts = if hosts.is_empty() { vec![None] } else { hosts };
            for (index, rule) in list("/spec/rules").enumerate() {
                for one in rule["matches"].as_array().into_iter().flatten() {
                    for host in &hosts {
                        all.entry(host.clone()).or_default().push((entry.key(), index, one.clone()));
                    }
                }
            }
        }
        Self(all)
    }

    /// Whether a rule without the policy takes the request before: for the same host by an exact path, by the method, or
    /// perhaps by a regular expression; or perhaps for a host of fewer requests.
    fn shadow(&self, matched: &Matched, place: &Place, statement: &PolicyStatement) -> bool {
        let foreign = |route: &ObjectKey, index: usize| {
            !statement.places.iter().any(|(own, rule)| own == route && *rule == index)
        };
        let of = |host: &Option<String>| self.0.get(host).into_iter().flatten();
        let narrower = Some(place.host.clone()).filter(|_| place.written.as_ref() != Some(&place.host));
        of(&place.written).any(|(route, index, other)| foreign(route, *index) && matched.yields_to(other))
            || narrower.is_some() && of(&narrower).any(|(route, index, _)| foreign(route, *index))
    }
}

/// The requests that a policy must refuse.
pub(super) fn of(
    statement: &PolicyStatement,
    rules: &Rules,
    objects: &BTreeMap<Identity, Value>,
) -> Result<Asked, Unasked> {
    if let Some(reason) = unprovokable(statement.kind) {
        return Err(Unasked::Never(reason.to_owned()));
    }
    let mut requests = BTreeSet::new();
    let mut left_out = None;
    for (key, index) in &statement.places {
        if key.kind.kind != "HTTPRoute" {
            return Err(Unasked::Never(format!("a {} answers in a protocol of its own", key.kind.kind)));
        }
        let Some(route) = objects.get(&Identity::from(key)) else {
            return Err(Unasked::Now(format!("{key} is not there")));
        };
        if route["metadata"]["annotations"].get(ANNOTATION_CLOSED).is_some() {
            return Err(Unasked::Now(format!("{key} is closed")));
        }
        let only_tls = statement.kind == PolicyKind::ClientCertificate;
        let mut places = Vec::new();
        for parent in parents(route) {
            let found = places_at(&parent, route, objects, only_tls);
            // A certificate is asked for at listeners of TLS only.
            if found.is_empty() && !only_tls {
                left_out.get_or_insert(format!("{parent} publishes no address, or has no listener for {key}"));
            }
            places.extend(found);
        }
        let rule = &route["spec"]["rules"][*index];
        let all = rule["matches"].as_array().map_or(&[][..], Vec::as_slice);
        // Without a match a rule takes everything.
        for one in if all.is_empty() { &[Value::Null] } else { all } {
            let matched = match Matched::read(one) {
                Ok(matched) => matched,
                Err(reason) => {
                    left_out.get_or_insert(format!("{key}: {reason}"));
                    continue;
                }
            };
            for place in &places {
                if rules.shadow(&matched, place, statement) {
                    left_out.get_or_insert(format!("{key}: another rule answers {} before", matched.path));
                } else if requests.len() < MOST {
                    requests.insert(matched.at(place));
                } else {
                    left_out.get_or_insert(format!("{key}: more than {MOST} requests"));
                }
            }
        }
    }
    if requests.is_empty() {
        return Err(Unasked::Now(left_out.unwrap_or_else(|| "no address, listener or rule to ask at".to_owned())));
    }
    Ok(Asked { requests, left_out })
}

/// Where a route answers.
struct Place {
    address: String,
    port: u16,
    tls: bool,
    host: String,
    /// The host as the route writes it.
    written: Option<String>,
}

fn places_at(parent: &ParentRef<'_>, route: &Value, objects: &BTreeMap<Identity, Value>, only_tls: bool) -> Vec<Place> {
    let mut places = Vec::new();
    let hosts: Vec<&str> =
        route["spec"]["hostnames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(gateway) = objects.get(&Identity::from(&gateway_of(parent))) else { return places };
    for listener in gateway["spec"]["listeners"].as_array().into_iter().flatten() {
        let port = listener["port"].as_i64().unwrap_or_default();
        let named = parent.section.is_none_or(|section| listener["name"] == section);
        let tls = match listener["protocol"].as_str() {
            Some("HTTP") if !only_tls => false,
            Some("HTTPS") => true,
            _ => continue,
        };
        let (Ok(number), true) = (u16::try_from(port), named && parent.port.is_none_or(|wanted| wanted == port)) else {
            continue;
        };
        let listener_host = listener["hostname"].as_str();
        let mut answered: Vec<(String, Option<String>)> = hosts
            .iter()
            .filter_map(|host_of_route| {
                let whole = || Some((*host_of_route).to_owned());
                let host = listener_host.map_or_else(whole, |other| narrower(host_of_route, other));
                host.map(|narrow| (narrow, Some((*host_of_route).to_owned())))
            })
            .collect();
        for address in addresses(gateway) {
            if hosts.is_empty() {
                answered = vec![(listener_host.unwrap_or(&address).to_owned(), None)];
            }
            places.extend(answered.iter().map(|(host, written)| Place {
                address: address.clone(),
                port: number,
                tls,
                host: host.replacen('*', ANY_LABEL, 1),
                written: written.clone(),
            }));
        }
    }
    places
}

/// A match, as a request that it takes.
struct Matched {
    path: String,
    exact: bool,
    method: Option<String>,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl Matched {
    /// # Errors
    /// Why no request is made for it.
    fn read(one: &Value) -> Result<Self, String> {
        let pairs = |field: &str| -> Result<Vec<(String, String)>, String> {
            let all = one[field].as_array().into_iter().flatten();
            all.map(|pair| match (pair["type"].as_str(), pair["name"].as_str(), pair["value"].as_str()) {
                (Some("Exact") | None, Some(name), Some(value)) => Ok((name.to_owned(), value.to_owned())),
                _ => Err("a regular expression names no value to send".to_owned()),
            })
            .collect()
        };
        let kind = one["path"]["type"].as_str().unwrap_or("PathPrefix");
        if kind == "RegularExpression" {
            return Err("a regular expression names no path to ask for".to_owned());
        }
        let method = one["method"].as_str().map(ToOwned::to_owned);
        if let Some(method) = method.as_ref().filter(|method| !matches!(method.as_str(), "GET" | "HEAD")) {
            return Err(format!("a {method} might change something where it is not refused, and is not sent"));
        }
        Ok(Self {
            path: one["path"]["value"].as_str().unwrap_or("/").to_owned(),
            exact: kind == "Exact",
            method,
            headers: pairs("headers")?,
            query: pairs("queryParams")?,
        })
    }

    fn at(&self, place: &Place) -> Request {
        let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let query = if encoded.is_empty() { encoded } else { format!("?{encoded}") };
        Request {
            address: place.address.clone(),
            port: place.port,
            tls: place.tls,
            host: place.host.clone(),
            method: self.method.clone().unwrap_or_else(|| "GET".to_owned()),
            path: format!("{}{query}", self.path),
            headers: self.headers.clone(),
        }
    }

    /// Whether another match takes the same request, and with precedence.
    fn yields_to(&self, other: &Value) -> bool {
        let sent = |field: &str, own: &[(String, String)]| {
            let mut all = other[field].as_array().into_iter().flatten();
            all.all(|pair| {
                own.iter().any(|(name, value)| pair["name"] == name.as_str() && pair["value"] == value.as_str())
            })
        };
        if !sent("headers", &self.headers) || !sent("queryParams", &self.query) {
            return false;
        }
        let method = other["method"].as_str();
        if method.is_some_and(|method| method != self.method.as_deref().unwrap_or("GET")) {
            return false;
        }
        let same_path = other["path"]["value"].as_str().unwrap_or("/") == self.path;
        match other["path"]["type"].as_str().unwrap_or("PathPrefix") {
            "RegularExpression" => true,
            "Exact" => same_path && (!self.exact || method.is_some() && self.method.is_none()),
            _ => same_path && !self.exact && method.is_some() && self.method.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        channel::Channel,
        compile::{ModuleUse, Promise, ReleaseObject, Role},
        intent::{DocumentId, FieldRef},
        module::{Enforcement, ModuleVersion},
        object::Object,
        resolve::Binding,
    };

    const ROUTE: GroupVersionKind = GroupVersionKind::of("gateway.networking.k8s.io", "v1", "HTTPRoute");

    struct Case {
        release: Release,
        statement: PolicyStatement,
        objects: BTreeMap<Identity, Value>,
    }

    fn case(kind: PolicyKind, matches: &Value, others: &[Value]) -> Case {
        let rules: Vec<Value> = std::iter::once(matches).chain(others).map(|all| json!({"matches": all})).collect();
        let route = Object::new(&ROUTE, Some("shop"), "catalog").with_spec(json!({
            "parentRefs": [{"name": "gw", "namespace": "edge"}],
            "hostnames": ["*.example.com"], "rules": rules,
        }));
        let gateway = Object::new(&GATEWAY, Some("edge"), "gw").with_spec(json!({"listeners": [
            {"name": "http", "port": 8080, "protocol": "HTTP"},
            {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "a.example.com"},
            {"name": "other", "port": 443, "protocol": "HTTPS", "hostname": "example.org"},
            {"name": "tcp", "port": 5432, "protocol": "TCP"}]}));
        let mut live = gateway.to_value();
        live["status"] = json!({"addresses": [{"value": "203.0.113.7"}]});
        let binding = Binding {
            namespace: "shop".into(),
            component: "catalog".into(),
            endpoint: "api".into(),
            visibility: "external".into(),
        };
        let statement = PolicyStatement {
            binding: binding.clone(),
            rules: Vec::new(),
            places: vec![(route.key(), 0)],
            kind,
            field: FieldRef::new(DocumentId::Component { namespace: "shop".into(), name: "catalog".into() }, ""),
            enforcement: Enforcement::Inline,
            promise: Promise::Ordered,
            objects: Vec::new(),
        };
        let module = ModuleUse {
            name: "test".into(),
            version: ModuleVersion::new("1.0").unwrap_or_else(|error| panic!("{error}")),
            class: "test".into(),
            controller: None,
            channel: Channel::Standard,
            assumptions: Vec::new(),
        };
        let mut release = Release::new("main", module);
        let objects = [(&gateway, live), (&route, route.to_value())];
        let objects = objects.into_iter().map(|(object, live)| (Identity::from(&object.key()), live)).collect();
        release.objects.push(ReleaseObject {
            object: route,
            phase: Phase::Routes,
            role: Role::Route { binding },
            owners: BTreeSet::new(),
            gate: None,
        });
        release.policies.push(statement.clone());
        Case { release, statement, objects }
    }

    impl Case {
        fn asked(&self) -> Result<(Vec<String>, Option<String>), Unasked> {
            let asked = of(&self.statement, &Rules::of(&self.release), &self.objects)?;
            Ok((asked.requests.iter().map(ToString::to_string).collect(), asked.left_out))
        }
    }

    fn path(kind: &str, value: &str) -> Value {
        json!({"path": {"type": kind, "value": value}})
    }

    #[test]
    fn each_listener_of_each_published_address_is_asked_by_the_host_of_the_route() {
        let all = case(PolicyKind::Jwt, &json!([path("PathPrefix", "/v1")]), &[]).asked();
        let wanted = [
            "GET https://a.example.com/v1 at 203.0.113.7",
            "GET http://gateway-modules-probe.example.com:8080/v1 at 203.0.113.7",
        ];
        assert_eq!(all, Ok((wanted.map(str::to_owned).to_vec(), None)));
        // A certificate is asked for in a TLS handshake only.
        let tls = case(PolicyKind::ClientCertificate, &json!([path("PathPrefix", "/v1")]), &[]).asked();
        assert_eq!(tls, Ok((vec![wanted[0].to_owned()], None)));
        let mut without = case(PolicyKind::Jwt, &json!([]), &[]);
        for live in without.objects.values_mut() {
            live["status"] = Value::Null;
        }
        assert!(matches!(without.asked(), Err(Unasked::Now(reason)) if reason.contains("publishes no address")));
        // One Gateway that cannot be asked keeps the others from standing for all.
        let mut second = case(PolicyKind::Jwt, &json!([path("PathPrefix", "/v1")]), &[]);
        for live in second.objects.values_mut().filter(|live| live["kind"] == "HTTPRoute") {
            live["spec"]["parentRefs"] =
                json!([{"name": "gw", "namespace": "edge"}, {"name": "other", "namespace": "edge"}]);
        }
        assert!(
            matches!(second.asked(), Ok((ref asked, Some(ref reason))) if asked.len() == 2 && reason.contains("other"))
        );
        let missing: Vec<String> = gateways(&second.release, &second.objects).iter().map(ToString::to_string).collect();
        assert_eq!(missing, ["Gateway edge/other"]);
        let mut nowhere = case(PolicyKind::Jwt, &json!([]), &[]);
        nowhere.statement.places.clear();
        assert!(matches!(nowhere.asked(), Err(Unasked::Now(_))), "nothing asked is nothing seen");
    }

    #[test]
    fn a_match_becomes_a_request_that_it_takes_and_nothing_that_could_change_anything_is_sent() {
        let mut one = path("Exact", "/v1");
        one["headers"] = json!([{"name": "version", "value": "2"}]);
        one["queryParams"] = json!([{"name": "q", "value": "a b"}]);
        one["method"] = json!("HEAD");
        let case_of = case(PolicyKind::ApiKey, &json!([one]), &[]);
        let asked =
            of(&case_of.statement, &Rules::of(&case_of.release), &case_of.objects).unwrap_or_else(|e| panic!("{e:?}"));
        let request = asked.requests.first().unwrap_or_else(|| panic!("none"));
        assert_eq!((request.method.as_str(), request.path.as_str()), ("HEAD", "/v1?q=a+b"));
        assert_eq!(request.headers, [("version".to_owned(), "2".to_owned())]);
        for (field, value) in [
            ("method", json!("POST")),
            ("headers", json!([{"type": "RegularExpression", "name": "a", "value": "b.*"}])),
        ] {
            let mut one = path("PathPrefix", "/");
            one[field] = value;
            let asked = case(PolicyKind::Jwt, &json!([one]), &[]).asked();
            assert!(matches!(asked, Err(Unasked::Now(_))), "{field}: {asked:?}");
        }
        let asked = case(PolicyKind::Jwt, &json!([path("RegularExpression", "/a.*")]), &[]).asked();
        assert!(matches!(asked, Err(Unasked::Now(_))), "{asked:?}");
    }

    #[test]
    fn what_another_rule_answers_before_is_not_asked() {
        let own = json!([path("PathPrefix", "/v1")]);
        let mut by_method = path("PathPrefix", "/v1");
        by_method["method"] = json!("GET");
        for shadow in [path("Exact", "/v1"), path("RegularExpression", "/.*"), by_method] {
            let asked = case(PolicyKind::Jwt, &own, &[json!([shadow])]).asked();
            assert!(matches!(asked, Err(Unasked::Now(reason)) if reason.contains("another rule")), "{shadow}");
        }
        let mut by_header = path("PathPrefix", "/v1");
        by_header["headers"] = json!([{"name": "a", "value": "b"}]);
        for other in [path("Exact", "/v1/more"), path("PathPrefix", "/v1/more"), path("PathPrefix", "/"), by_header] {
            let asked = case(PolicyKind::Jwt, &own, &[json!([other])]).asked();
            assert!(matches!(asked, Ok((ref requests, None)) if requests.len() == 2), "{other}: {asked:?}");
        }
    }

    #[test]
    fn what_no_request_can_show_is_said() {
        for kind in PolicyKind::ALL {
            let asked = case(*kind, &json!([]), &[]).asked();
            let shown = matches!(
                kind,
                PolicyKind::Jwt | PolicyKind::ApiKey | PolicyKind::BasicAuth | PolicyKind::ClientCertificate
            );
            assert_eq!(asked.is_ok(), shown, "{kind}: {asked:?}");
            assert!(shown || matches!(asked, Err(Unasked::Never(_))), "{kind}: {asked:?}");
        }
    }
}
