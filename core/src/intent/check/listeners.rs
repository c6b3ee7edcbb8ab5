//! Listeners of one Gateway.

use super::place::{At, Checker, names, near};
use crate::intent::{Listener, ListenerProtocol, TlsMode, Visibility, codes};

pub(super) fn check<'a>(checker: &mut Checker<'a>, at: &At<'a>, visibility: &Visibility) {
    let listeners = &visibility.listeners;
    checker.unique(
        "listener",
        listeners.iter().enumerate().map(|(index, listener)| (at.item(index).field("name"), listener.name.as_str())),
    );
    for (index, listener) in listeners.iter().enumerate() {
        let here = at.item(index);
        tls(checker, &here, listener);
        redirect(checker, &here, listener, listeners);
        if let (Some(hostname), ListenerProtocol::Tcp | ListenerProtocol::Udp) = (&listener.hostname, listener.protocol)
        {
            checker.error(
                &here.field("hostname"),
                codes::FIELD_NOT_FOR_TYPE,
                format!("a {} listener cannot tell the host `{hostname}`", listener.protocol.as_str()),
                "remove `hostname`",
            );
        }
        for (other_index, other) in listeners[..index].iter().enumerate() {
            conflict(checker, &here, listener, &at.item(other_index), other);
        }
    }
}

fn tls(checker: &mut Checker<'_>, at: &At<'_>, listener: &Listener) {
    let protocol = listener.protocol;
    let wants = matches!(protocol, ListenerProtocol::Https | ListenerProtocol::Tls);
    match &listener.tls {
        None if wants => checker.error(
            at,
            codes::TLS_MISSING,
            format!("the {} listener `{}` has no `tls`", protocol.as_str(), listener.name),
            "add `tls: { certificates: [{ name: … }] }`",
        ),
        Some(_) if !wants => checker.error(
            &at.field("tls"),
            codes::TLS_REFUSED,
            format!("the {} listener `{}` has `tls`", protocol.as_str(), listener.name),
            "remove `tls`, or use the protocol HTTPS or TLS",
        ),
        Some(tls) if tls.mode == TlsMode::Terminate && tls.certificates.is_empty() => checker.error(
            &at.field("tls"),
            codes::CERTIFICATES_MISSING,
            format!("TLS of the listener `{}` ends at the Gateway, which has no certificate for it", listener.name),
            "add `certificates: [{ name: … }]` with the name of a Secret of type kubernetes.io/tls, or `mode: Passthrough` on a TLS listener",
        ),
        Some(tls) if tls.mode == TlsMode::Passthrough && protocol == ListenerProtocol::Https => checker.error(
            &at.field("tls/mode"),
            codes::TLS_REFUSED,
            format!("the HTTPS listener `{}` cannot pass TLS through: it has to read the requests", listener.name),
            "use `mode: Terminate`, or the protocol TLS",
        ),
        _ => {}
    }
}

fn redirect(checker: &mut Checker<'_>, at: &At<'_>, listener: &Listener, listeners: &[Listener]) {
    let Some(target) = &listener.redirect_to else { return };
    let at = at.field("redirectTo");
    let https = || listeners.iter().filter(|other| other.protocol == ListenerProtocol::Https).map(|other| &other.name);
    if listener.protocol != ListenerProtocol::Http {
        let message = format!("the {} listener `{}` cannot redirect", listener.protocol.as_str(), listener.name);
        checker.error(&at, codes::BAD_REDIRECT_TARGET, message, "remove `redirectTo`; only HTTP listeners have it");
    }
    if !https().any(|name| name == target) {
        let message = format!("`{target}` is no HTTPS listener of this visibility");
        let help = format!("{}its HTTPS listeners: {}", near(target.as_str(), https()), names(https()));
        checker.error(&at, codes::BAD_REDIRECT_TARGET, message, help);
    }
}

/// Gateway API: listeners of a Gateway are distinct by port, protocol and hostname. HTTPS and TLS may share a port, since
/// both are told apart by the name in the handshake; UDP ports are apart from all others.
fn conflict(checker: &mut Checker<'_>, at: &At<'_>, listener: &Listener, other_at: &At<'_>, other: &Listener) {
    use ListenerProtocol::{Http, Https, Tls, Udp};
    if listener.port != other.port || (listener.protocol == Udp) != (other.protocol == Udp) {
        return;
    }
    let share = matches!((listener.protocol, other.protocol), (Http, Http) | (Https | Tls, Https | Tls));
    let first = format!("`{}` ({}, {})", other.name, other.protocol.as_str(), other_at.named());
    if !share {
        checker.error(
            &at.field("port"),
            codes::LISTENER_CONFLICT,
            format!(
                "port {} is taken by the listener {first}, and {} cannot share it",
                listener.port,
                listener.protocol.as_str()
            ),
            "use another port",
        );
    } else if listener.hostname == other.hostname {
        let host =
            listener.hostname.as_ref().map_or_else(|| "all hosts".to_owned(), |host| format!("the host `{host}`"));
        checker.error(
            &at.field("port"),
            codes::LISTENER_CONFLICT,
            format!("port {} already serves {host} by the listener {first}", listener.port),
            "use another port, or another `hostname`",
        );
    }
}
