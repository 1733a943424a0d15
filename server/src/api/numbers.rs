//! Lists of numbers in bodies, read in one pass of their own: embeddings are nearly all that comes in.
//!
//! Before a body is read as JSON, the lists that stand under the name `embedding` are taken out of it, and a string with the number of
//! the list stands in their place. What reads an embedding takes its list by that number. If anything is not as expected, or a
//! list is not taken, nothing of it counts, and the body is read as it is.

use std::{cell::RefCell, sync::LazyLock};

use memchr::memmem;
use serde::de::DeserializeOwned;

const NAME: &[u8] = b"\"embedding\"";

static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(NAME));

/// Room for the first list of a body; the others are likely to be as long as the one before.
const USUAL_LENGTH: usize = 512;

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
    let (mut rest, mut lists, mut at) = (Vec::new(), Lists::new(), 0);
    while let Some(found) = FINDER.find(&bytes[at..]) {
        let name_end = at + found + NAME.len();
        let after = bytes.get(name_end..)?;
        let list = skip_space(after).strip_prefix(b":").map(skip_space).filter(|list| list.starts_with(b"["));
        // Behind a backslash it is a part of a text, and without a list it is the value of something, or null.
        let Some(list) = list.filter(|_| bytes.get((at + found).wrapping_sub(1)) != Some(&b'\\')) else {
            rest.extend_from_slice(&bytes[at..name_end]);
            at = name_end;
            continue;
        };
        let usual = lists.last().and_then(Option::as_ref).map_or(USUAL_LENGTH, Vec::len);
        let (numbers, len) = numbers(list, usual)?;
        let list_at = bytes.len() - list.len();
        rest.extend_from_slice(&bytes[at..list_at]);
        rest.extend_from_slice(format!("\"{}\"", lists.len()).as_bytes());
        lists.push(Some(numbers));
        at = list_at + len;
    }
    rest.extend_from_slice(&bytes[at..]);
    (!lists.is_empty()).then_some((rest, lists))
}

fn skip_space(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// The numbers of a list, and how many bytes it has. `usual` is how many they are likely to be.
fn numbers(list: &[u8], usual: usize) -> Option<(Vec<f32>, usize)> {
    let mut numbers = Vec::with_capacity(usual);
    let mut left = skip_space(list.strip_prefix(b"[")?);
    loop {
        let (number, len) = match plain_number(left) {
            Some(plain) => plain,
            None => any_number(left)?,
        };
        numbers.push(number);
        left = skip_space(&left[len..]);
        match left.split_first()? {
            (b',', more) => left = skip_space(more),
            (b']', more) => return Some((numbers, list.len() - more.len())),
            _ => return None,
        }
    }
}

/// The number at the beginning, and how many bytes it has, if it is written as nearly all of an embedding are, such as
/// `-0.05123456939101219`: one digit, and up to 19 in all. The same as by way of the nearest float of 64 bits; where it is not
/// plain which float of 32 bits that leads to, `None`.
///
/// Signs and lengths follow no pattern, so no branch depends on them; and inlined, the place of the next number does not wait for the
/// division of this one.
#[inline(always)]
fn plain_number(bytes: &[u8]) -> Option<(f32, usize)> {
    let negative = *bytes.first()? == b'-';
    let text: &[u8; 26] = bytes.get(usize::from(negative)..)?.first_chunk()?;
    let whole = text[0].wrapping_sub(b'0');
    let (mut digits, mut places) = (u64::from(whole), 0);
    for eight in text[2..].chunks_exact(8) {
        let (count, value) = digits_of(u64::from_le_bytes(eight.try_into().ok()?));
        digits = digits.wrapping_mul(WHOLE_TENS[count]).wrapping_add(value);
        places += count;
        if count < 8 {
            break;
        }
    }
    let known = whole < 10 && text[1] == b'.' && (1..=18 + usize::from(whole == 0)).contains(&places);
    if !known || matches!(text[2 + places], b'e' | b'E') {
        return None;
    }
    let wide = digits as f64 / TENS[places];
    // With more than 53 bits of digits, the nearest float is one of the next few; none of them may lie beyond the middle of two
    // floats of 32 bits.
    let from_middle = (wide.to_bits() & 0x1fff_ffff).abs_diff(0x1000_0000);
    let plain = (digits <= 1 << 53) | ((from_middle > 4) & (wide > 1e-30));
    let number = f32::from_bits((wide as f32).to_bits() | u32::from(negative) << 31);
    plain.then_some((number, usize::from(negative) + 2 + places))
}

/// Powers of ten that 64 bits hold exactly.
const TENS: [f64; 20] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19];
const WHOLE_TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many of eight bytes are digits, from the first, which is the lowest, and their value.
fn digits_of(bytes: u64) -> (usize, u64) {
    let values = bytes.wrapping_sub(0x3030_3030_3030_3030);
    // What is carried from one byte to the next comes from one that is no digit.
    let others = (bytes.wrapping_add(0x4646_4646_4646_4646) | values) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    // Zeros before the digits. In two steps, since all 64 bits cannot be shifted out at once.
    let half = 4 * (8 - count);
    let digits = values << half << half;
    // Pairs, then fours, then all.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let fours = (pairs & 0xff_0000_00ff).wrapping_mul(0xf_4240_0000_0064);
    let fours = fours.wrapping_add(((pairs >> 16) & 0xff_0000_00ff).wrapping_mul(0x2710_0000_0001));
    (count as usize, fours >> 32)
}

/// The same for every number that 32 bits hold.
fn any_number(bytes: &[u8]) -> Option<(f32, usize)> {
    let (wide, len) = fast_float2::parse_partial::<f64, _>(bytes).ok()?;
    let number = wide as f32;
    (number.is_finite() && is_json(&bytes[..len])).then_some((number, len))
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
    use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{
        super::{extract::parse, input::Embedding},
        *,
    };

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
    fn base64_beside_lists_stays_what_it_is_even_where_it_looks_like_their_numbers() {
        #[derive(serde::Deserialize)]
        struct Chunk {
            embedding: Embedding,
        }
        #[derive(serde::Deserialize)]
        struct Body {
            chunks: Vec<Chunk>,
        }
        let vectors = |body: Body| body.chunks.into_iter().map(|chunk| chunk.embedding.into()).collect::<Vec<Vec<f32>>>();
        let looks_like_one = STANDARD.decode("0000000000000001").unwrap();
        let bodies = [
            r#"{"chunks": [{"embedding": "0000000000000001"}, {"embedding": [1, 2, 3]}, {"embedding": [4, 5, 6]}]}"#,
            r#"{"chunks": [{"embedding": [1, 2, 3]}, {"embedding": [4, 5, 6]}, {"embedding": "0000000000000001"}]}"#,
        ];
        for (body, place) in bodies.into_iter().zip([0, 2]) {
            let mut read = vectors(parse(body.as_bytes()).ok().unwrap());
            let bytes: Vec<u8> = read.remove(place).into_iter().flat_map(f32::to_le_bytes).collect();
            assert_eq!((bytes, read), (looks_like_one.clone(), vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]]), "{body}");
        }
        let usual = r#"{"chunks": [{"embedding": "AAAgQQAAAAA="}, {"embedding": [1, 2]}]}"#;
        assert_eq!(vectors(from_slice(usual.as_bytes()).unwrap()), [vec![10.0, 0.0], vec![1.0, 2.0]], "without a second reading");
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

    /// As in a list that goes on.
    fn plain(text: &str) -> Option<(f32, usize)> {
        plain_number(format!("{text}, 0.123456789012345678]").as_bytes())
    }

    #[test]
    fn the_middle_of_two_numbers_is_left_to_the_slower_way() {
        let middle = (f64::from(0.05_f32) + f64::from(0.05_f32.next_up())) / 2.0;
        assert_eq!(plain(&format!("{middle:.18}")), None);
        for text in ["0.5", "-0.0", "7.12345678", "-0.05123456939101219", "0.0005123456939101219", "0.1234567812345678"] {
            let expected = text.parse::<f64>().unwrap() as f32;
            let (number, len) = plain(text).unwrap();
            assert_eq!((number.to_bits(), len), (expected.to_bits(), text.len()), "{text}");
        }
        for text in ["", "-", ".5", "5.", "05.1", "-05.1", "1.5e5", "1.5E5", "1.1234567890123456789", "x", "+1.5", "15.5", "1"] {
            assert_eq!(plain(text), None, "{text}");
        }
        assert_eq!(plain_number(b"0.5]"), None, "there is less to read than is looked at");
    }

    #[test]
    fn digits_end_where_something_else_begins() {
        let read = |text: &[u8; 8]| digits_of(u64::from_le_bytes(*text));
        assert_eq!([read(b"00000000"), read(b"12345678"), read(b"99999999")], [(8, 0), (8, 12_345_678), (8, 99_999_999)]);
        for byte in (0..=255).filter(|byte: &u8| !byte.is_ascii_digit()) {
            for place in 0..8 {
                let mut text = *b"13579024";
                text[place] = byte;
                let value = std::str::from_utf8(&text[..place]).unwrap().parse().unwrap_or(0);
                assert_eq!(read(&text), (place, value), "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn plain_numbers_are_those_of_json(digits: u64, places in 0..20_usize, shorter in 0..20_u32, negative: bool) {
            let digits = format!("{:0>width$}", digits / 10_u64.pow(shorter), width = places + 1);
            let (whole, rest) = digits.split_at(digits.len() - places);
            let text = format!("{}{whole}{}{rest}", if negative { "-" } else { "" }, if places > 0 { "." } else { "" });
            if let Some((number, len)) = plain(&text) {
                prop_assert_eq!(len, text.len());
                let expected: f64 = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(number.to_bits(), (expected as f32).to_bits(), "{}", text);
            }
        }

        #[test]
        fn numbers_near_the_middle_of_two_are_those_of_json(
            bits in 0x0d00_0000_u32..0x7000_0000, off in -9..10_i64, digits in 0..19_usize,
        ) {
            let low = f32::from_bits(bits);
            let middle = (f64::from(low) + f64::from(low.next_up())) / 2.0;
            let near = f64::from_bits(middle.to_bits().wrapping_add_signed(off));
            for text in [near.to_string(), format!("{near:.digits$}")] {
                if let Some((number, _)) = plain(&text) {
                    let expected: f64 = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(number.to_bits(), (expected as f32).to_bits(), "{}", text);
                }
            }
        }

        #[test]
        fn numbers_are_those_of_json(values in prop::collection::vec(any::<f64>(), 1..20), narrow: Vec<f32>) {
            let values: Vec<f64> = values.into_iter().chain(narrow.into_iter().map(f64::from)).collect();
            let text = serde_json::to_string(&values).unwrap();
            let read: Option<Vec<f64>> = serde_json::from_str(&text).ok();
            let expected: Option<Vec<f32>> = read.map(|read| read.into_iter().map(|wide| wide as f32).collect());
            let expected = expected.filter(|all| all.iter().all(|number| number.is_finite()));
            let found = numbers(text.as_bytes(), 1);
            prop_assert_eq!(found.as_ref().map(|(_, len)| *len), expected.as_ref().map(|_| text.len()));
            let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(found.map(|(numbers, _)| bits(&numbers)), expected.map(|numbers| bits(&numbers)));
        }
    }
}
