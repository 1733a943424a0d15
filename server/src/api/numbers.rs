//! Lists of numbers in bodies, read in one pass of their own: embeddings are nearly all that comes in.
//!
//! Before a body is read as JSON, the lists that stand under the name `embedding` are taken out of it, and a string with the number of
//! the list stands in their place. What reads an embedding takes its list by that number. If anything is not as expected, or a
//! list is not taken, nothing of it counts, and the body is read as it is.

use std::cell::RefCell;

use memchr::memmem;
use serde::de::DeserializeOwned;

const NAME: &[u8] = b"\"embedding\"";

/// Lists by their numbers; one that was taken is gone.
type Lists = Vec<Option<Vec<f32>>>;

thread_local! {
    static LISTS: RefCell<Lists> = const { RefCell::new(Vec::new()) };
}

/// Reads a body; `None` where it has no such list, or something is wrong with it.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (rest, lists) = take_out(bytes)?;
    LISTS.set(lists);
    let value = serde_json::from_slice(&rest);
    let all_taken = LISTS.take().iter().all(Option::is_none);
    value.ok().filter(|_| all_taken)
}

/// The list that was taken out and has this number.
pub(super) fn list(number: &str) -> Option<Vec<f32>> {
    LISTS.with_borrow_mut(|lists| lists.get_mut(number.parse::<usize>().ok()?)?.take())
}

/// The body without the lists, and the lists.
fn take_out(bytes: &[u8]) -> Option<(Vec<u8>, Lists)> {
    let (finder, mut rest, mut lists, mut at) = (memmem::Finder::new(NAME), Vec::new(), Vec::new(), 0);
    while let Some(found) = finder.find(&bytes[at..]) {
        let name_end = at + found + NAME.len();
        let after = bytes.get(name_end..)?;
        let list = skip_space(after).strip_prefix(b":").map(skip_space).filter(|list| list.starts_with(b"["));
        // Behind a backslash it is a part of a text, and without a list it is the value of something, or null.
        let Some(list) = list.filter(|_| bytes.get((at + found).wrapping_sub(1)) != Some(&b'\\')) else {
            rest.extend_from_slice(&bytes[at..name_end]);
            at = name_end;
            continue;
        };
        let (numbers, len) = numbers(list)?;
        let list_at = bytes.len() - list.len();
        rest.extend_from_slice(&bytes[at..list_at]);
        rest.extend_from_slice(format!("\"{}\"", lists.len()).as_bytes());
        lists.push(Some(numbers));
        at = list_at + len;
    }
    rest.extend_from_slice(&bytes[at..]);
    (!lists.is_empty()).then_some((rest, lists))
}

fn skip_space(bytes: &[u8]) -> &[u8] {
    let space = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    &bytes[space..]
}

/// The numbers of a list, and how many bytes it has.
fn numbers(list: &[u8]) -> Option<(Vec<f32>, usize)> {
    let mut numbers = Vec::new();
    let mut left = skip_space(list.strip_prefix(b"[")?);
    loop {
        let (wide, len) = fast_float2::parse_partial::<f64, _>(left).ok()?;
        let number = wide as f32;
        if !number.is_finite() || !is_json(&left[..len]) {
            return None;
        }
        numbers.push(number);
        left = skip_space(&left[len..]);
        match left.split_first()? {
            (b',', more) => left = skip_space(more),
            (b']', more) => return Some((numbers, list.len() - more.len())),
            _ => return None,
        }
    }
}

/// Whether JSON has such numbers: no `+1`, `.5`, `5.`, `05` or `inf`.
fn is_json(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let digit = |at: usize| digits.get(at).is_some_and(u8::is_ascii_digit);
    let point = digits.iter().position(|byte| *byte == b'.');
    digit(0) && !(digits[0] == b'0' && digit(1)) && point.is_none_or(|point| digit(point + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn taken(body: &str) -> Option<(Value, Vec<Vec<f32>>)> {
        let (rest, lists) = take_out(body.as_bytes())?;
        Some((serde_json::from_slice(&rest).ok()?, lists.into_iter().flatten().collect()))
    }

    #[test]
    fn lists_are_taken_out_where_they_are_embeddings() {
        let body = r#"{"chunks": [{"embedding": [1, -2.5e3,0.1 ], "text": "\"embedding\": [7]"}, {"embedding" :[3]}], "k": [4]}"#;
        let (rest, lists) = taken(body).unwrap();
        assert_eq!(lists, [vec![1.0, -2500.0, 0.1], vec![3.0]]);
        let chunks = json!([{"embedding": "0", "text": "\"embedding\": [7]"}, {"embedding": "1"}]);
        assert_eq!(rest, json!({"chunks": chunks, "k": [4]}));
        assert_eq!(taken(r#"{"include": ["embedding"], "embedding": [5]}"#).unwrap().1, [vec![5.0]]);
    }

    #[test]
    fn what_is_not_a_list_of_numbers_is_left() {
        for body in [
            r#"{"k": 1}"#,
            r#"{"embedding": null}"#,
            r#"{"embedding": []}"#,
            r#"{"embedding": [1, "2"]}"#,
            r#"{"embedding": [1, [2]]}"#,
            r#"{"embedding": [1,]}"#,
            r#"{"embedding": [1 2]}"#,
            r#"{"embedding": [1"#,
            r#"{"embedding": [1e39]}"#,
            r#"{"embedding": [+1]}"#,
            r#"{"embedding": [.5]}"#,
            r#"{"embedding": [5.]}"#,
            r#"{"embedding": [5.e1]}"#,
            r#"{"embedding": [05]}"#,
            r#"{"embedding": [-05]}"#,
            r#"{"embedding": [inf]}"#,
            r#"{"embedding": [NaN]}"#,
        ] {
            assert!(take_out(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn a_list_that_nobody_takes_does_not_count() {
        assert!(from_slice::<Value>(br#"{"attributes": {"embedding": [1]}}"#).is_none());
        assert!(list("0").is_none(), "nothing is left behind");
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_json(values in prop::collection::vec(any::<f64>(), 1..20), narrow: Vec<f32>) {
            let values: Vec<f64> = values.into_iter().chain(narrow.into_iter().map(f64::from)).collect();
            let text = serde_json::to_string(&values).unwrap();
            let read: Option<Vec<f64>> = serde_json::from_str(&text).ok();
            let expected: Option<Vec<f32>> = read.map(|read| read.into_iter().map(|wide| wide as f32).collect());
            let expected = expected.filter(|all| all.iter().all(|number| number.is_finite()));
            let found = numbers(text.as_bytes());
            prop_assert_eq!(found.as_ref().map(|(_, len)| *len), expected.as_ref().map(|_| text.len()));
            let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(found.map(|(numbers, _)| bits(&numbers)), expected.map(|numbers| bits(&numbers)));
        }
    }
}
