use std::cell::Cell;

use proptest::prelude::*;

use super::*;

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// As if a token had four characters; white space counts, too.
fn quarters(text: &str) -> usize {
    text.chars().count().div_ceil(4)
}

fn texts(text: &str, max_tokens: usize, overlap_tokens: usize) -> Vec<&str> {
    let options = SplitOptions { max_tokens, overlap_tokens };
    let passages = split(text, &options, &words).unwrap();
    passages.into_iter().map(|passage| &text[passage.range]).collect()
}

#[test]
fn sentences_are_put_together_within_the_budget() {
    let text = " One two three. Four five six! Seven eight nine? Ten eleven. ";
    assert_eq!(texts(text, 20, 0), [text.trim()]);
    assert_eq!(texts(text, 6, 0), ["One two three. Four five six!", "Seven eight nine? Ten eleven."]);
}

#[test]
fn a_passage_starts_with_the_last_sentences_of_the_one_before() {
    let text = "A b c. D e. F g. H i j k. L m n. O p q.";
    assert_eq!(texts(text, 8, 4), ["A b c. D e. F g.", "D e. F g. H i j k.", "H i j k. L m n.", "L m n. O p q."]);
}

#[test]
fn white_space_has_no_passages() {
    assert_eq!(texts("", 5, 2), [""; 0]);
    assert_eq!(texts(" \n\n\t \u{3000}\r\n", 5, 2), [""; 0]);
}

#[test]
fn a_passage_ends_with_a_paragraph_rather_than_full() {
    let text = "A b. C d e.\n \nF g. H i. J k.";
    assert_eq!(texts(text, 8, 0), ["A b. C d e.", "F g. H i. J k."]);
    // Not if that leaves it less than half full.
    let text = "A b.\n\nC d. E f. G h. I j.";
    assert_eq!(texts(text, 8, 0), ["A b.\n\nC d. E f. G h.", "I j."]);
}

#[test]
fn a_wrapped_line_is_not_a_sentence() {
    let text = "This sentence goes on\nin the next line.\r\nSo does\r\nthis one.";
    assert_eq!(texts(text, 8, 0), ["This sentence goes on\nin the next line.", "So does\r\nthis one."]);
}

#[test]
fn a_long_sentence_is_cut_at_lines_else_between_words() {
    let list = "- one two\n- three four\n- five six";
    assert_eq!(texts(list, 6, 0), ["- one two\n- three four", "- five six"]);
    assert_eq!(texts("a b c d e f g", 3, 1), ["a b c", "c d e", "e f g"]);
}

#[test]
fn the_limit_holds_even_if_the_whole_has_more_tokens_than_its_parts() {
    let squares = |text: &str| text.chars().count().pow(2) / 16;
    let text = "Some words. More words here. And a sentence of some length. ".repeat(20);
    let options = SplitOptions { max_tokens: 100, overlap_tokens: 30 };
    let mut covered = 0;
    for passage in split(&text, &options, &squares).unwrap() {
        assert!(passage.tokens <= 100);
        assert!(passage.range.start <= covered + 1);
        covered = passage.range.end;
    }
    assert_eq!(covered, text.trim_end().len());
}

#[test]
fn a_short_last_passage_takes_from_the_one_before() {
    let text = "A b c. D e f. G h i. J k l. M n.";
    assert_eq!(texts(text, 12, 0), ["A b c. D e f.", "G h i. J k l. M n."]);
}

#[test]
fn a_word_is_cut_when_it_has_too_many_characters_or_tokens() {
    let long = "é".repeat(25_000);
    let passages = split(&long, &SplitOptions::default(), &words).unwrap();
    let lengths: Vec<usize> = passages.iter().map(|passage| passage.range.len() / 2).collect();
    assert_eq!(lengths, [10_000, 10_000, 5_000]);

    let options = SplitOptions { max_tokens: 5, overlap_tokens: 0 };
    for passage in split(&long, &options, &quarters).unwrap() {
        assert_eq!(passage.tokens, quarters(&long[passage.range]));
        assert!(passage.tokens <= 5);
    }
}

#[test]
fn options_that_lead_nowhere_are_refused() {
    let refusal = |max_tokens, overlap_tokens| split("x", &SplitOptions { max_tokens, overlap_tokens }, &words).unwrap_err();
    assert_eq!(refusal(0, 0), SplitError::NoTokens);
    assert_eq!(refusal(40, 40).to_string(), "overlap_tokens is 40, but must be less than max_tokens, which is 40");
}

#[test]
fn the_work_is_proportional_to_the_text() {
    let long_texts = [
        "Some words in a sentence. ".repeat(8_000),
        "word ".repeat(40_000),
        "word\n".repeat(40_000),
        "x".repeat(200_000),
        "漢字".repeat(50_000),
        "a.b,c;".repeat(30_000),
        format!("{}x{}", " ".repeat(100_000), "\n\n".repeat(50_000)),
        ". ".repeat(100_000),
    ];
    for text in long_texts {
        let counted = Cell::new(0);
        let count = |part: &str| {
            counted.set(counted.get() + part.len());
            quarters(part)
        };
        let passages = split(&text, &SplitOptions::default(), &count).unwrap();
        let start: String = text.chars().take(8).collect();
        assert!(counted.get() <= text.len() * 10, "{start:?}: {}", counted.get());
        let total: usize = passages.iter().map(|passage| passage.range.len()).sum();
        assert!(total <= text.len() * 2, "{start:?}: {total}");
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_every_limit_is_kept(
        text in "(([a-zA-Zéß]{1,9}|[0-9]{1,3}|漢字|\\PC)( |, |\\. |! |\n|\n\n|\r\n|\t|){1,2}){0,80}",
        max_tokens in 1_usize..40,
        overlap in 0_usize..40,
        count in prop::sample::select(vec![words as fn(&str) -> usize, quarters, |_| 0]),
    ) {
        let options = SplitOptions { max_tokens, overlap_tokens: overlap.min(max_tokens - 1) };
        let passages = split(&text, &options, &count).unwrap();
        let mut covered = 0;
        let mut previous = 0..0;
        for Passage { range, tokens } in passages {
            let content = &text[range.clone()];
            prop_assert_eq!(content, content.trim());
            prop_assert_eq!(tokens, count(content));
            prop_assert!(tokens <= max_tokens);
            prop_assert!(content.chars().count() <= MAX_PASSAGE_CHARACTERS);
            prop_assert!(range.start >= previous.start && range.end > previous.end);
            let gap = &text[covered..range.start.max(covered)];
            prop_assert_eq!(gap.trim(), "");
            covered = range.end;
            previous = range;
        }
        prop_assert_eq!(text[covered..].trim(), "");
    }
}
