//! Makes derived Secrets. Content stays in here: it is read, transformed and sent, and enters no error and no log.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::error::ClusterError;
use crate::{module::SecretTransform, object::Object};

/// The derived Secret with its data, as it is sent.
pub(crate) fn derive(object: &Object, source: &Value, transform: &SecretTransform) -> Result<Value, ClusterError> {
    let text = |name: &str| source["metadata"][name].as_str().unwrap_or_default();
    let secret = format!("{}/{}", text("namespace"), text("name"));
    let bad = |message: String| ClusterError::Source { secret: secret.clone(), message };
    let (key, content) = match transform {
        SecretTransform::HtpasswdSha1 { key } => (key, htpasswd_sha1(source).map_err(bad)?),
        SecretTransform::HtpasswdBcrypt { .. } => {
            return Err(bad("htpasswd with bcrypt cannot be made yet; use SHA-1".to_owned()));
        }
    };
    let mut derived = object.to_value();
    if derived.get("type").is_none() {
        derived["type"] = "Opaque".into();
    }
    derived["data"] = json!({ key: STANDARD.encode(content) });
    Ok(derived)
}

/// Lines `user:{SHA}base64(sha1(password))`, sorted by user. One trailing line break of a password is dropped, since that
/// is what `kubectl create secret --from-file` keeps.
fn htpasswd_sha1(source: &Value) -> Result<String, String> {
    let data = source["data"].as_object().filter(|data| !data.is_empty());
    let data = data.ok_or("it is empty; add one key per user, with the password as its value")?;
    let mut users: Vec<(&String, &Value)> = data.iter().collect();
    users.sort_by_key(|(user, _)| *user);
    let mut lines = Vec::new();
    for (user, password) in users {
        let password = password
            .as_str()
            .and_then(|password| STANDARD.decode(password).ok())
            .ok_or_else(|| format!("the value of key {user:?} cannot be read"))?;
        let password = password.strip_suffix(b"\n").unwrap_or(&password);
        if password.is_empty() {
            return Err(format!("the value of key {user:?} is empty"));
        }
        if user.contains(':') {
            return Err(format!("the key {user:?} is no user name"));
        }
        lines.push(format!("{user}:{{SHA}}{}\n", STANDARD.encode(Sha1::digest(password))));
    }
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_in_the_form_of_apache() {
        let source = json!({"data": {"bob": STANDARD.encode("secret\n"), "alice": STANDARD.encode("password")}});
        // printf password | openssl dgst -sha1 -binary | base64
        assert_eq!(
            htpasswd_sha1(&source).expect("valid"),
            "alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nbob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"
        );
    }

    #[test]
    fn the_type_is_the_one_that_the_gateway_asks_for() {
        let source = json!({"data": {"bob": STANDARD.encode("secret")}});
        let transform = SecretTransform::HtpasswdSha1 { key: "auth".into() };
        let object = Object::new(&crate::object::GroupVersionKind::of("", "v1", "Secret"), Some("ns"), "d");
        assert_eq!(derive(&object, &source, &transform).expect("valid")["type"], "Opaque");
        let typed = object.with_field("type", json!("nginx.org/htpasswd"));
        assert_eq!(derive(&typed, &source, &transform).expect("valid")["type"], "nginx.org/htpasswd");
    }

    #[test]
    fn errors_name_keys_and_never_values() {
        let source = json!({"metadata": {"namespace": "ns", "name": "s"}, "data": {"bob": "hunter2!"}});
        let object = Object::new(&crate::object::GroupVersionKind::of("", "v1", "Secret"), Some("ns"), "d");
        let transform = SecretTransform::HtpasswdSha1 { key: ".htpasswd".into() };
        let error = derive(&object, &source, &transform).expect_err("not base64").to_string();
        assert!(error.contains("bob") && error.contains("ns/s") && !error.contains("hunter2"), "{error}");
    }
}
