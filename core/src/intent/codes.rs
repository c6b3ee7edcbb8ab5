//! Codes of the diagnostics about intents, each with one line of explanation. Codes are stable: a new problem gets a new one.

/// A code and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// For example `GWM0101`.
    pub code: &'static str,
    /// One line for the documentation.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $explanation:literal;)*) => {
        $(#[doc = $explanation] pub const $name: &str = $code;)*

        /// All codes about intents, in order.
        pub const ALL: &[Code] = &[$(Code { code: $code, explanation: $explanation }),*];
    };
}

codes! {
    // Loading: from bytes to documents.
    UNREADABLE = "GWM0101", "A file or folder cannot be read.";
    TOO_LARGE = "GWM0102", "An input is larger than an intent may be.";
    NOT_TEXT = "GWM0103", "An input is not UTF-8 text, or holds control characters.";
    SYNTAX = "GWM0104", "The YAML or JSON cannot be parsed.";
    YAML_FEATURE = "GWM0105", "A feature of YAML that has no meaning here: merge key, unknown tag, key that is no text.";
    BUDGET = "GWM0106", "The document is nested too deep, or grows too large by its aliases.";
    DUPLICATE_KEY = "GWM0107", "A mapping has the same key twice.";
    NO_DOCUMENTS = "GWM0108", "Nothing that was given holds an intent document.";
    NOT_AN_OBJECT = "GWM0109", "A document is no Kubernetes-style object with `apiVersion` and `kind`.";
    UNKNOWN_KIND = "GWM0110", "The API group has no such kind.";
    UNKNOWN_VERSION = "GWM0111", "The API group has no such version.";
    FOREIGN_DOCUMENT = "GWM0112", "A document of another API group was left out (warning).";
    LIST_DOCUMENT = "GWM0113", "A `List` holds intent documents; they must be documents of their own.";
    // Loading: from documents to types.
    UNKNOWN_FIELD = "GWM0120", "A field does not exist.";
    MISSING_FIELD = "GWM0121", "A required field is missing.";
    WRONG_TYPE = "GWM0122", "A value has another type than the field.";
    NO_VALUE = "GWM0123", "A key has no value.";
    BAD_TEXT = "GWM0124", "A text is not written as its field wants.";
    OUT_OF_RANGE = "GWM0125", "A number is out of its range.";
    UNKNOWN_VALUE = "GWM0126", "A value is none of those that the field takes.";
    ONE_OF = "GWM0127", "A choice names none or several of its alternatives.";
    BAD_COUNT = "GWM0128", "A list or mapping has too few or too many items.";
    BAD_VALUE = "GWM0129", "A value cannot be read by its type.";
    MORE_ERRORS = "GWM0130", "A document has more errors than are shown.";
    // Meaning: documents.
    DUPLICATE_DOCUMENT = "GWM0201", "Two documents have the same kind, namespace and name.";
    NAMESPACED_DATA_PLANE = "GWM0202", "A data plane has a namespace, and is cluster-scoped.";
    DUPLICATE_NAME = "GWM0203", "Two endpoints, rules, listeners or overrides in one list have the same name.";
    // Meaning: references.
    UNKNOWN_DATA_PLANE = "GWM0210", "A data plane that is named does not exist.";
    NO_DATA_PLANE_MATCHES = "GWM0211", "No data plane carries the labels of the selector.";
    DATA_PLANE_NOT_CHOSEN = "GWM0212", "There are several data planes, and the component names none.";
    UNKNOWN_VISIBILITY = "GWM0213", "The data plane has no such visibility.";
    UNKNOWN_ENDPOINT = "GWM0214", "An override names an endpoint that the component has not.";
    UNKNOWN_LISTENER = "GWM0215", "The visibility has no such listener.";
    LISTENER_PROTOCOL = "GWM0216", "The visibility has no listener of the protocol that the endpoint needs.";
    BAD_REDIRECT_TARGET = "GWM0217", "`redirectTo` names no HTTPS listener of the same visibility.";
    NAMESPACE_NOT_ALLOWED = "GWM0218", "The data plane does not admit the component's namespace.";
    OVERRIDE_WITHOUT_EFFECT = "GWM0219", "An override is for a data plane that does not serve the component.";
    // Meaning: listeners.
    TLS_MISSING = "GWM0220", "A listener of this protocol needs TLS.";
    TLS_REFUSED = "GWM0221", "A listener of this protocol has no TLS.";
    CERTIFICATES_MISSING = "GWM0222", "TLS that ends at the Gateway needs certificates.";
    LISTENER_CONFLICT = "GWM0223", "Two listeners of a Gateway cannot stand side by side.";
    // Meaning: the gateway.
    MANAGED_CLASS = "GWM0225", "The controller is to install a gateway that only its class names.";
    // Meaning: fields.
    FIELD_NOT_FOR_TYPE = "GWM0230", "A field or policy has no meaning for this type of endpoint or listener.";
    TIMEOUT_ORDER = "GWM0231", "The time-out of one try is longer than that of the whole request.";
    CORS_CREDENTIALS = "GWM0232", "CORS with credentials needs named origins.";
    HEADER_TWICE = "GWM0233", "A header stands twice in the changes of one direction.";
    CONTRADICTING_ANSWERS = "GWM0234", "A rule that the gateway answers itself has backends or a rewrite.";
    CLAIMS_WITHOUT_JWT = "GWM0235", "Claims are required, and no token is verified.";
    ODD_PATH = "GWM0236", "A path has an empty, `.` or `..` segment.";
    BAD_REGULAR_EXPRESSION = "GWM0237", "A regular expression cannot be parsed.";
    RETRY_CODE = "GWM0238", "A status is no error, and cannot be retried.";
    EMPTY_POLICY = "GWM0239", "A policy or condition says nothing.";
    NO_TRAFFIC = "GWM0240", "All backends of a rule have weight 0, so it answers 500 (warning).";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_explained() {
        let codes: std::collections::BTreeSet<_> = ALL.iter().map(|code| code.code).collect();
        assert_eq!(codes.len(), ALL.len());
        assert!(ALL.iter().all(|code| code.code.len() == 7 && code.explanation.ends_with('.')));
    }
}
