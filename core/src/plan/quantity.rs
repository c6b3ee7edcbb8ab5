//! Value of a Kubernetes quantity, so that two ways to write one value compare equal.

/// The quantity in billionths; `None` when the text is no quantity or too large.
pub(crate) fn quantity_value(text: &str) -> Option<i128> {
    const NANO: i128 = 1_000_000_000;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 || whole.len() > 18 || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let mut value = digits.checked_mul(NANO)?;
    for _ in 0..fraction.len() {
        // Exact: at most nine digits after the point.
        value /= 10;
    }
    let (factor, divisor): (i128, i128) = match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (NANO * 1000, 1),
        "P" => (NANO * 1_000_000, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    };
    let value = value.checked_mul(factor)?;
    let value = (value % divisor == 0).then_some(value / divisor)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_in_several_ways() {
        for (a, b) in
            [("1000m", "1"), ("0.5", "500m"), ("1Gi", "1024Mi"), ("1e3", "1k"), ("1.50", "1.5"), ("-1", "-1000m")]
        {
            assert_eq!(quantity_value(a), quantity_value(b), "{a} {b}");
            assert!(quantity_value(a).is_some());
        }
        for text in ["", ".", "a", "1x", "1.2.3", "Gi", "9999999999999999999999", "1e999"] {
            assert_eq!(quantity_value(text), None, "{text}");
        }
        assert_ne!(quantity_value("1"), quantity_value("1k"));
    }
}
