//! Expressions of Envoy's CEL over the payload of a verified token.

use gateway_modules_core::{intent::policies::ClaimRequirement, types::ClaimPath};

/// Where Envoy's JWT filter leaves the payload (kgateway.dev, docs/envoy 2.4.x, security/rbac).
const PAYLOAD: &str = "metadata.filter_metadata['envoy.filters.http.jwt_authn']['payload']";

/// Longest expression that the CRD takes (`.spec.rbac.policy.matchExpressions[]`, maxLength).
const MAX_LENGTH: usize = 16_384;

/// Why requirements are no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CelError {
    /// A text cannot be a literal; the requirement's index.
    Literal(usize),
    /// The expression is longer than the CRD takes.
    TooLong,
}

/// One expression that is true when all requirements hold.
///
/// One, since kgateway admits a request when *any* of `matchExpressions` is true (`trafficpolicy/rbac.go`, `OrMatcher`). A
/// missing claim is an error in CEL, an error is no match, and no match is refused. Comprehensions (`exists`) are off in
/// Envoy, so a list is asked with `in`; the operand that does not fit the claim's type is an error, which `||` absorbs.
pub(crate) fn all_hold(requirements: &[ClaimRequirement]) -> Result<String, CelError> {
    let mut all = Vec::new();
    for (index, requirement) in requirements.iter().enumerate() {
        let claim = claim(&requirement.claim).ok_or(CelError::Literal(index))?;
        let mut any = Vec::new();
        for value in &requirement.values {
            let value = literal(value.as_str()).ok_or(CelError::Literal(index))?;
            any.push(format!("{claim} == {value} || {value} in {claim}"));
        }
        all.push(format!("({})", any.join(" || ")));
    }
    let expression = all.join(" && ");
    if expression.len() > MAX_LENGTH { Err(CelError::TooLong) } else { Ok(expression) }
}

fn claim(path: &ClaimPath) -> Option<String> {
    let mut text = PAYLOAD.to_owned();
    for name in path.as_str().split('.') {
        text.push('[');
        text.push_str(&literal(name)?);
        text.push(']');
    }
    Some(text)
}

/// A CEL string literal. Only characters that mean themselves between single quotes are taken; anything else is no literal,
/// so that no text of an intent can end the string and become code.
fn literal(text: &str) -> Option<String> {
    let safe = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | '"' | '\\' | '`') || c == ' ';
    text.chars().all(safe).then(|| format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use gateway_modules_core::types::Token;

    use super::*;

    fn requirement(claim: &str, values: &[&str]) -> ClaimRequirement {
        ClaimRequirement {
            claim: ClaimPath::new(claim).expect("claim"),
            values: values.iter().map(|value| Token::new(*value).expect("token")).collect(),
        }
    }

    #[test]
    fn all_requirements_stand_in_one_expression() {
        let expression = all_hold(&[requirement("team", &["dev", "ops"]), requirement("realm.roles", &["admin"])]);
        let team = format!("{PAYLOAD}['team']");
        let roles = format!("{PAYLOAD}['realm']['roles']");
        assert_eq!(
            expression,
            Ok(format!(
                "({team} == 'dev' || 'dev' in {team} || {team} == 'ops' || 'ops' in {team}) && ({roles} == 'admin' || 'admin' in {roles})"
            ))
        );
    }

    #[test]
    fn no_text_can_end_a_literal() {
        for bad in ["a' || true || '", "a\\", "\"", "`", "a\nb", "ä"] {
            assert_eq!(literal(bad), None, "{bad:?}");
        }
        assert_eq!(literal("a || true").as_deref(), Some("'a || true'"));
    }

    #[test]
    fn what_the_crd_would_refuse_is_an_error() {
        let long = "v".repeat(256);
        let many = vec![requirement("team", &[long.as_str(); 32]); 16];
        assert_eq!(all_hold(&many), Err(CelError::TooLong));
    }
}
