//! Which lines of the suite are asked, and who hears of them.

use std::{fmt, str::FromStr};

use super::Line;

/// How much is run, and who hears of it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Options<'a> {
    /// Only lines whose name contains this.
    pub only: Option<&'a str>,
    /// Only this part of the lines.
    pub shard: Option<Shard>,
    /// Told each line when it is there.
    pub progress: &'a (dyn Fn(&Line) + Send + Sync),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { only: None, shard: None, progress: &|_| () }
    }
}

impl<'a> Options<'a> {
    /// Only lines whose name contains this.
    #[must_use]
    pub fn with_only(self, only: Option<&'a str>) -> Self {
        Self { only, ..self }
    }

    /// Only this part of the lines.
    #[must_use]
    pub fn with_shard(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    /// Tells each line when it is there.
    #[must_use]
    pub fn with_progress(self, progress: &'a (dyn Fn(&Line) + Send + Sync)) -> Self {
        Self { progress, ..self }
    }

    /// Whether a line is asked, by its place among all ([`names`](super::names), and what a module's own cases add) and its name.
    pub fn wants(&self, place: usize, name: &str) -> bool {
        self.only.is_none_or(|only| name.contains(only)) && self.shard.is_none_or(|shard| shard.has(place))
    }
}

/// One of several parts of the lines that are asked beside each other, each in a lab of its own: most of the time of a gateway
/// that is asked is waiting. Every line is in exactly one of them, and neighbours, which take about the same time, are in different
/// ones.
///
/// ```
/// use gateway_modules_testkit::behaviour::Shard;
///
/// let second: Shard = "2/3".parse()?;
/// assert!(second.has(1) && second.has(4) && !second.has(2));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From zero.
    index: usize,
    count: usize,
}

impl Shard {
    /// Whether the line at this place, counted from zero, is in it.
    pub fn has(self, place: usize) -> bool {
        place % self.count == self.index
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index + 1, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Option<(usize, usize)> =
            text.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((number, count)) if (1..=count).contains(&number) => Ok(Self { index: number - 1, count }),
            _ => Err(format!("{text:?} is no part of the lines; write 1/2 for the first of two")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_in_exactly_one_part() {
        for count in 1..5 {
            let parts: Vec<Shard> = (1..=count).map(|number| format!("{number}/{count}").parse().unwrap()).collect();
            for place in 0..20 {
                assert_eq!(parts.iter().filter(|part| part.has(place)).count(), 1, "{place} of {count}");
            }
            assert_eq!(parts[0].to_string(), format!("1/{count}"));
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains("1/2 for the first of two"), "{error}");
        }
    }

    #[test]
    fn a_name_and_a_part_are_both_asked_for() {
        let options = Options::default().with_only(Some("jwt")).with_shard("1/2".parse().ok());
        assert!(options.wants(0, "jwt, remote keys"));
        assert!(!options.wants(1, "jwt, remote keys"));
        assert!(!options.wants(0, "cors"));
    }
}
