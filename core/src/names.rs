//! Injective names: different parts never give the same name, and what can be read stays in front.

use sha2::{Digest, Sha256};

/// Limits of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Longest name, in characters.
    pub max: usize,
}

impl Name {
    /// A DNS label; also the limit of most vendors for what they derive from a name.
    pub const LABEL: Self = Self { max: 63 };
    /// Name of a Gateway: vendors derive labels and Services from it, so it stays well below 63 characters.
    pub const GATEWAY: Self = Self { max: 40 };
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const HASH_LENGTH: usize = 10;

/// Fifty bits of the SHA-256 of the length-prefixed parts, in lower-case base32.
///
/// Without the length prefix `("a-b", "c")` and `("a", "b-c")` would hash the same text.
pub fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let bytes = digest.finalize();
    let mut value = bytes.iter().take(8).fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    let mut text = String::with_capacity(HASH_LENGTH);
    for _ in 0..HASH_LENGTH {
        // The top five bits each time; 64 bits hold twelve such groups.
        text.push(char::from(ALPHABET[usize::try_from(value >> 59).unwrap_or_default()]));
        value <<= 5;
    }
    text
}

/// A DNS label from parts: the readable parts joined by `-`, shortened evenly where they must be, then `-` and a hash of
/// the parts as they are.
pub fn injective(parts: &[&str], limit: Name) -> String {
    let room = limit.max - HASH_LENGTH - 1;
    let mut readable: Vec<String> = parts.iter().map(|part| readable(part)).filter(|part| !part.is_empty()).collect();
    let length = |parts: &[String]| parts.iter().map(String::len).sum::<usize>() + parts.len().saturating_sub(1);
    while length(&readable) > room {
        let Some(longest) = (0..readable.len()).max_by_key(|index| readable[*index].len()) else { break };
        if readable[longest].len() <= 1 {
            readable.remove(longest);
        } else {
            readable[longest].pop();
        }
    }
    let joined = readable.join("-");
    let front = joined.trim_matches('-');
    if front.is_empty() { format!("x-{}", hash(parts)) } else { format!("{front}-{}", hash(parts)) }
}

fn readable(part: &str) -> String {
    let mapped: String =
        part.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    mapped.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::DnsLabel;

    #[test]
    fn the_collisions_of_the_nearest_platform_do_not_happen() {
        // facts/openchoreo.md C1: joined before hashing, these pairs are one name.
        assert_ne!(injective(&["a-b", "c"], Name::LABEL), injective(&["a", "b-c"], Name::LABEL));
        assert_ne!(
            injective(&["svc", "http-internal"], Name::LABEL),
            injective(&["svc", "http", "internal"], Name::LABEL)
        );
    }

    #[test]
    fn what_can_be_read_stays_in_front() {
        assert!(injective(&["shop", "catalog", "api"], Name::LABEL).starts_with("shop-catalog-api-"));
    }

    proptest! {
        #[test]
        fn names_are_labels_and_injective(
            a in proptest::collection::vec("[a-z0-9./-]{0,80}", 1..5),
            b in proptest::collection::vec("[a-z0-9./-]{0,80}", 1..5),
        ) {
            let (a, b): (Vec<&str>, Vec<&str>) = (a.iter().map(String::as_str).collect(), b.iter().map(String::as_str).collect());
            for limit in [Name::LABEL, Name::GATEWAY] {
                let (first, second) = (injective(&a, limit), injective(&b, limit));
                prop_assert!(first.len() <= limit.max && DnsLabel::new(first.clone()).is_ok(), "{first}");
                prop_assert_eq!(a == b, first == second);
            }
        }
    }
}
