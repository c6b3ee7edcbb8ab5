//! Routes have at most 16 rules and 128 matches, and some policies reach a whole route. Where one route does not do, its
//! rules are spread over several; but only so that no two matches in different routes can tie, since between routes the
//! gateway breaks ties by age, which nobody has written down.

use std::collections::BTreeMap;

use crate::{
    intent::{FieldRef, Match, PathMatch, ValueMatch},
    names,
    resolve::RuleTopology,
};

/// Most rules of a route (Gateway API: `rules` has at most 16 items).
pub(super) const MAX_RULES: usize = 16;
/// Most matches of a route (Gateway API: total of all rules, by CEL).
pub(super) const MAX_MATCHES: usize = 128;

/// Indices of rules that stand in one route object, and the suffix that tells its name from the others (empty: the only one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) rules: Vec<usize>,
    pub(super) suffix: String,
}

/// Two rules that cannot be in different routes, and must not be in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tie {
    pub(super) first: FieldRef,
    pub(super) second: FieldRef,
    pub(super) reason: String,
}

/// Spreads rules over routes. Rules with different `groups` must not be in one route.
///
/// The parts are stable under edits: a rule's part depends on its own conditions, and a part is divided only when it
/// overflows, by one more bit of a hash, which moves nothing in the others.
///
/// # Errors
/// Two rules that can tie and may not share a route; or more rules that tie than a route holds.
pub(super) fn parts(rules: &[&RuleTopology], groups: &[String]) -> Result<Vec<Part>, Tie> {
    let clusters = clusters(rules);
    let mut by_group: BTreeMap<&str, Vec<&Vec<usize>>> = BTreeMap::new();
    for cluster in &clusters {
        let group = &groups[cluster[0]];
        if let Some(other) = cluster.iter().find(|index| groups[**index] != *group) {
            return Err(Tie {
                first: rules[cluster[0]].source.clone(),
                second: rules[*other].source.clone(),
                reason: "the gateway binds one of their policies to a whole route, and the two rules can match the same request with \
                         the same precedence"
                    .to_owned(),
            });
        }
        by_group.entry(group).or_default().push(cluster);
    }
    let several = by_group.len() > 1;
    let mut parts = Vec::new();
    for (group, clusters) in by_group {
        let prefix = if several { names::hash(&[group]) } else { String::new() };
        divide(rules, &clusters, &prefix, 0, &mut parts)?;
    }
    for part in &mut parts {
        part.rules.sort_unstable();
    }
    parts.sort_by(|a, b| a.rules.cmp(&b.rules));
    Ok(parts)
}

fn size(rules: &[&RuleTopology], clusters: &[&Vec<usize>]) -> (usize, usize) {
    let count = clusters.iter().map(|cluster| cluster.len()).sum();
    let matches =
        clusters.iter().flat_map(|cluster| cluster.iter()).map(|index| rules[*index].matches.len().max(1)).sum();
    (count, matches)
}

fn divide(
    rules: &[&RuleTopology],
    clusters: &[&Vec<usize>],
    suffix: &str,
    depth: usize,
    parts: &mut Vec<Part>,
) -> Result<(), Tie> {
    let (count, matches) = size(rules, clusters);
    if count <= MAX_RULES && matches <= MAX_MATCHES {
        if count > 0 {
            let rules = clusters.iter().flat_map(|cluster| cluster.iter().copied()).collect();
            parts.push(Part { rules, suffix: suffix.to_owned() });
        }
        return Ok(());
    }
    if let [only] = clusters {
        return Err(Tie {
            first: rules[only[0]].source.clone(),
            second: rules[only[only.len() - 1]].source.clone(),
            reason: format!(
                "{count} rules with {matches} matches can tie with each other, and a route holds {MAX_RULES} rules and {MAX_MATCHES} matches"
            ),
        });
    }
    let (ones, zeros): (Vec<&Vec<usize>>, Vec<&Vec<usize>>) =
        clusters.iter().copied().partition(|cluster| bit(rules, cluster, depth));
    divide(rules, &zeros, &format!("{suffix}0"), depth + 1, parts)?;
    divide(rules, &ones, &format!("{suffix}1"), depth + 1, parts)
}

/// One bit of the hash of a cluster: of the smallest of its rules' conditions, so that it does not depend on their order.
fn bit(rules: &[&RuleTopology], cluster: &[usize], depth: usize) -> bool {
    let smallest = cluster.iter().map(|index| rules[*index].name.as_str()).min().unwrap_or_default();
    // Fresh text for each group of bits, so that the depth has no end.
    let hash = names::hash(&[smallest, &(depth / 8).to_string()]);
    let byte = hash.as_bytes().get(depth % 8).copied().unwrap_or_default();
    byte & 1 == 1
}

/// Rules that can tie, directly or through others, in the order of their first rule.
fn clusters(rules: &[&RuleTopology]) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..rules.len()).collect();
    fn root(parent: &mut [usize], mut index: usize) -> usize {
        while parent[index] != index {
            parent[index] = parent[parent[index]];
            index = parent[index];
        }
        index
    }
    for first in 0..rules.len() {
        for second in first + 1..rules.len() {
            if rules_tie(rules[first], rules[second]) {
                let (a, b) = (root(&mut parent, first), root(&mut parent, second));
                parent[a.max(b)] = a.min(b);
            }
        }
    }
    let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in 0..rules.len() {
        let root = root(&mut parent, index);
        clusters.entry(root).or_default().push(index);
    }
    clusters.into_values().collect()
}

fn rules_tie(first: &RuleTopology, second: &RuleTopology) -> bool {
    if first.matches.is_empty() || second.matches.is_empty() {
        return true;
    }
    first.matches.iter().any(|(a, _)| second.matches.iter().any(|(b, _)| can_tie(a, b)))
}

/// Whether some request fits both matches, and Gateway API's precedence does not say which wins: an exact path first, then
/// the longest prefix, then a method, then the number of headers, then that of query parameters. Says yes when in doubt.
fn can_tie(first: &Match, second: &Match) -> bool {
    let path_tie = match (&first.path, &second.path) {
        (Some(PathMatch::Exact(a)), Some(PathMatch::Exact(b))) => a == b,
        // Two prefixes of one length fit one request only if they are the same prefix.
        (Some(PathMatch::Prefix(a)), Some(PathMatch::Prefix(b))) => a.trimmed() == b.trimmed(),
        (Some(PathMatch::Exact(_)), Some(PathMatch::Prefix(_)))
        | (Some(PathMatch::Prefix(_)), Some(PathMatch::Exact(_))) => false,
        // The precedence of regular expressions is the implementation's own.
        (Some(PathMatch::RegularExpression(_)), _) | (_, Some(PathMatch::RegularExpression(_))) => true,
        (None, None) => true,
        (None, Some(_)) | (Some(_), None) => true,
    };
    let method_tie = match (&first.method, &second.method) {
        (Some(a), Some(b)) => a == b,
        (None, None) => true,
        // A method comes before none.
        _ => false,
    };
    let grpc_tie = match (&first.grpc, &second.grpc) {
        (Some(a), Some(b)) => {
            let differ = |a: &Option<crate::types::Token>, b: &Option<crate::types::Token>| match (a, b) {
                (Some(a), Some(b)) => a != b,
                // The longer name comes first, and none is the shortest.
                (None, None) => false,
                _ => true,
            };
            !differ(&a.service, &b.service) && !differ(&a.method, &b.method)
        }
        (None, None) => true,
        _ => false,
    };
    path_tie
        && method_tie
        && grpc_tie
        && first.headers.len() == second.headers.len()
        && first.query_params.len() == second.query_params.len()
        && !exclusive(first, second)
}

/// Whether the same header or query parameter would have to have two values.
fn exclusive(first: &Match, second: &Match) -> bool {
    let clash =
        |a: &ValueMatch, b: &ValueMatch| matches!((a, b), (ValueMatch::Exact(a), ValueMatch::Exact(b)) if a != b);
    let headers = first.headers.iter().any(|a| {
        second
            .headers
            .iter()
            .any(|b| a.name.as_str().eq_ignore_ascii_case(b.name.as_str()) && clash(&a.value, &b.value))
    });
    let params = first
        .query_params
        .iter()
        .any(|a| second.query_params.iter().any(|b| a.name == b.name && clash(&a.value, &b.value)));
    headers || params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        intent::DocumentId,
        resolve::EffectivePolicies,
        types::{HttpPath, RegularExpression},
    };

    fn rule(path: PathMatch) -> RuleTopology {
        let text = format!("{path:?}");
        RuleTopology {
            name: format!("rule-{}", names::hash(&[&text])),
            source: FieldRef::new(DocumentId::Component { namespace: "n".into(), name: "c".into() }, text),
            declared: true,
            matches: vec![(Match { path: Some(path), ..Match::default() }, None)],
            implied_rewrite: None,
            backends: Vec::new(),
            policies: EffectivePolicies::default(),
        }
    }

    fn exact(path: &str) -> RuleTopology {
        rule(PathMatch::Exact(HttpPath::new(path).expect("path")))
    }

    fn named(rules: &[RuleTopology], parts: &[Part]) -> BTreeMap<String, String> {
        parts
            .iter()
            .flat_map(|part| part.rules.iter().map(|index| (rules[*index].name.clone(), part.suffix.clone())))
            .collect()
    }

    #[test]
    fn few_rules_stay_in_one_route_without_a_suffix() {
        let rules: Vec<_> = (0..16).map(|number| exact(&format!("/{number}"))).collect();
        let parts = parts(&rules.iter().collect::<Vec<_>>(), &vec![String::new(); 16]).expect("parts");
        assert_eq!(parts, [Part { rules: (0..16).collect(), suffix: String::new() }]);
    }

    #[test]
    fn many_rules_are_spread_and_an_edit_moves_only_what_it_must() {
        let mut rules: Vec<_> = (0..60).map(|number| exact(&format!("/{number}"))).collect();
        let groups = vec![String::new(); 61];
        let before_parts = parts(&rules.iter().collect::<Vec<_>>(), &groups).expect("parts");
        assert!(before_parts.iter().all(|part| part.rules.len() <= MAX_RULES));
        let before = named(&rules, &before_parts);
        assert_eq!(before.len(), 60);
        rules.insert(0, exact("/new"));
        let after = named(&rules, &parts(&rules.iter().collect::<Vec<_>>(), &groups).expect("parts"));
        let divided: std::collections::BTreeSet<&String> =
            before.iter().filter(|(name, part)| after[*name] != **part).map(|(_, part)| part).collect();
        assert!(divided.len() <= 1, "one part at most is divided: {divided:?}");
    }

    #[test]
    fn regular_expressions_tie_with_everything() {
        let mut rules: Vec<_> = (0..16).map(|number| exact(&format!("/{number}"))).collect();
        rules.push(rule(PathMatch::RegularExpression(RegularExpression::new("/.*").expect("pattern"))));
        let tie = parts(&rules.iter().collect::<Vec<_>>(), &vec![String::new(); 17]).expect_err("tie");
        assert!(tie.reason.contains("17 rules"), "{tie:?}");
    }

    #[test]
    fn rules_of_two_groups_that_tie_are_refused() {
        let rules = [exact("/a"), exact("/a")];
        assert!(parts(&[&rules[0], &rules[1]], &["x".into(), "y".into()]).is_err());
        let rules = [exact("/a"), exact("/b")];
        let parts = parts(&[&rules[0], &rules[1]], &["x".into(), "y".into()]).expect("parts");
        assert_eq!(parts.len(), 2);
    }
}
