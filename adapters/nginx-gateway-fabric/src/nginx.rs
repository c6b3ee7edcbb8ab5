//! Values as NGINX writes them, and texts that must not reach its configuration.

use gateway_modules_core::types::Duration;

/// A number of bytes as `^\d{1,4}(k|m|g)?$`; `None` where it cannot be written. NGINX counts in powers of 1024.
pub(crate) fn size(bytes: u64) -> Option<String> {
    [("g", 1_u64 << 30), ("m", 1 << 20), ("k", 1 << 10), ("", 1)]
        .into_iter()
        .find(|(_, factor)| bytes.is_multiple_of(*factor) && bytes / factor <= 9999)
        .map(|(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// The largest size at most `bytes` that can be written.
pub(crate) fn size_below(bytes: u64) -> String {
    [("", 1_u64), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30)]
        .into_iter()
        .find(|(_, factor)| bytes / factor <= 9999)
        .map_or_else(|| "9999g".to_owned(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// A duration as `^[0-9]{1,4}(ms|s|m|h)?$`; `None` where it cannot be written.
pub(crate) fn duration(duration: Duration) -> Option<String> {
    let millis = duration.as_millis();
    [("h", 3_600_000_u64), ("m", 60_000), ("s", 1000), ("ms", 1)]
        .into_iter()
        .find(|(_, factor)| millis.is_multiple_of(*factor) && millis / factor <= 9999)
        .map(|(unit, factor)| format!("{}{unit}", millis / factor))
}

/// The shortest writable duration that is at least as long.
pub(crate) fn duration_above(duration: Duration) -> String {
    let millis = duration.as_millis();
    [("ms", 1_u64), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
        .into_iter()
        .map(|(unit, factor)| (unit, millis.div_ceil(factor)))
        .find(|(_, count)| *count <= 9999)
        .map_or_else(|| "9999h".to_owned(), |(unit, count)| format!("{count}{unit}"))
}

/// The first character of a text that a quoted string of NGINX does not take literally.
pub(crate) fn unsafe_in_quotes(text: &str) -> Option<char> {
    text.chars().find(|c| matches!(c, '$' | '"' | '\'' | '\\') || c.is_control())
}

/// The first character that cannot stand in a path of a location, a rewrite or a redirect.
pub(crate) fn unsafe_in_path(text: &str) -> Option<char> {
    text.chars().find(|c| matches!(c, '$' | '"' | '\'' | '\\' | '{' | '}' | ';') || c.is_control() || c.is_whitespace())
}

/// The variable of a request header; `None` for names that NGINX does not keep apart or drops (`underscores_in_headers`).
pub(crate) fn header_variable(name: &str) -> Option<String> {
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    fits.then(|| format!("$http_{}", name.to_ascii_lowercase().replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers_of_a_unit() {
        for (bytes, text) in
            [(1 << 20, Some("1m")), (10 << 20, Some("10m")), (512, Some("512")), (1536, Some("1536")), (10_001, None)]
        {
            assert_eq!(size(bytes).as_deref(), text, "{bytes}");
        }
        assert_eq!(size(9_999 << 30).as_deref(), Some("9999g"));
        assert_eq!(size(10_000 << 30), None);
        assert_eq!(size_below(10_001), "9k");
    }

    #[test]
    fn durations_are_whole_numbers_of_a_unit() {
        for (millis, text) in [(10_000, Some("10s")), (1500, Some("1500ms")), (90_000, Some("90s")), (10_001, None)] {
            assert_eq!(duration(Duration::from_millis(millis)).as_deref(), text, "{millis}");
        }
        assert_eq!(duration_above(Duration::from_millis(10_001)), "11s");
    }

    #[test]
    fn header_names_become_variables_one_to_one() {
        assert_eq!(header_variable("X-Tenant").as_deref(), Some("$http_x_tenant"));
        assert_eq!(header_variable("x_tenant"), None);
        assert_eq!(header_variable("x$y"), None);
    }
}
