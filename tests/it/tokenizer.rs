//! Our tokenizer against the reference, Hugging Face's, built from the vocabulary inside the model file: equal ids always.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;
use tokenizers::Tokenizer;
use vecino_engine::embed::StaticModel;

use crate::embedding::FILE;

static OURS: LazyLock<StaticModel> = LazyLock::new(|| StaticModel::from_bytes(FILE).unwrap());
static REFERENCE: LazyLock<Tokenizer> = LazyLock::new(reference);

/// Reads the vocabulary by the description of the format, not by our reader; the rest is what the `tokenizer.json` of
/// all-MiniLM-L6-v2 says.
fn reference() -> Tokenizer {
    let length = u32::from_le_bytes(FILE[28..32].try_into().unwrap());
    let tokens = std::str::from_utf8(&FILE[96..96 + length as usize]).unwrap();
    let vocabulary: BTreeMap<&str, usize> = tokens.split('\n').zip(0..).collect();
    let description = json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": true,
            "strip_accents": null,
            "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    });
    description.to_string().parse().unwrap()
}

/// What differs, if anything does.
fn difference(text: &str) -> Option<String> {
    let ours = OURS.tokenize(text);
    let expected = REFERENCE.encode_fast(text, false).unwrap();
    (ours != expected.get_ids()).then(|| {
        let text: String = text.chars().take(200).collect();
        format!("{text:?}\n ours {ours:?}\n reference {:?}", expected.get_ids())
    })
}

fn assert_equal<'a>(texts: impl IntoIterator<Item = &'a str>) {
    let differences: Vec<String> = texts.into_iter().filter_map(difference).collect();
    assert!(
        differences.is_empty(),
        "{} differ, the first of them:\n{}",
        differences.len(),
        differences[..differences.len().min(5)].join("\n")
    );
}

#[test]
fn tricky_texts_give_the_same_tokens() {
    let long: Vec<String> = [99, 100, 101, 5000]
        .into_iter()
        .flat_map(|n| ["a", "é", "가", "x\u{301}", "\u{1F600}", "中", "-", "İ", "\u{200B}"].map(|s| s.repeat(n)))
        .collect();
    assert_equal(long.iter().map(String::as_str));
    assert_equal([
        "",
        " ",
        "Hello, world! Isn't this un-believable?",
        "café cafe\u{301} CAFÉ naïve Ångström A\u{30A}ngstro\u{308}m façade résumé señor",
        "q\u{323}\u{307} q\u{307}\u{323} \u{301}alone a\u{301}\u{302}\u{303}\u{304}b x\u{20DD} \u{20DD}",
        "东京 東京タワー 日本語 テスト カ\u{3099} ｶﾞ ひらがな 漢字かな混じり文 中\u{301}文 a中b \u{2B820}\u{2B920}\u{F900}",
        "한국어 조선글 한국어 가각 \u{1112}\u{1161}\u{11AB}",
        "😀 👨‍👩‍👧‍👦 🇪🇸 👍🏽 ❤️ a😀b ☃ ✓",
        "a\u{0}b\u{1}c\u{7}d\u{1B}e\u{7F}f\u{80}g\u{9F}h\u{85}i\u{B}j\u{C}k",
        "é\u{1}\u{301}\u{7}\u{323}é e\u{1}\u{301} \u{301}\u{0}\u{323}",
        "zero\u{200B}width\u{200C}joi\u{200D}ner\u{2060}no\u{FEFF}break so\u{AD}ft \u{202E}rtl\u{202C} \u{61C}mark",
        "tab\tnew\nline\rreturn\r\nnbsp\u{A0}thin\u{2009}ideographic\u{3000}line\u{2028}par\u{2029}ogham\u{1680}mvs\u{180E}x",
        "replacement\u{FFFD}char \u{FFFD} \u{FFFE} \u{FFFF} \u{E000}private\u{F8FF} \u{10FFFD} \u{10FFFF}",
        "İstanbul ISPARTA ıspanak I\u{307} İ",
        "Straße STRASSE ẞ groß ſtill",
        "ΟΔΥΣΣΕΥΣ Ὀδυσσεύς σας ΣΑΣ ΆΈΉ ᾳ ᾼ \u{37E} \u{387} \u{1FEF} \u{1FC1}",
        "العربية السَّلَامُ عَلَيْكُمْ ١٢٣ ؟ ، \u{600}1 \u{6DD}",
        "हिन्दी क्षेत्र नमस्ते १२३ । ॥ \u{958} \u{929}",
        "ไทย ภาษาไทย ລາວ မြန်မာ ភាសាខ្មែរ",
        "ﬁ ﬂ ﬀ ﬃ ĳ ǆ ǅ Ǆ ŉ ẚ ½ ² ™ ℃ Ω Å K",
        "1234567890 3.14 1,000,000 1e-9 0x7F 50% $5 €5 £5 #1 @home a_b __init__ C++ C# .NET ... !!! ?!? -- — – ‒",
        "“quotes” ‘single’ «guillemets» ‹x› „low“ 「corner」 、。！？ ¿qué? ¡sí! · • … ‰ † ‡ § ¶ ° ± × ÷ ≠ ≤ ∞ ← →",
        "[UNK] [CLS] [SEP] [MASK] [PAD] ##ing # ## ###",
        "\u{1E9B}\u{323} \u{D4DB} \u{1D15E} \u{1D400} \u{FB1D} \u{FB2A} \u{0344} \u{0958} \u{2126}",
        "electroencephalographically pneumonoultramicroscopicsilicovolcanoconiosis zxqjv",
        "vi\u{1EC7}t nam Tiếng Việt Đặng Łódź Øre Æsir þorn ðe ß œuvre",
        "\u{166D} \u{1734} \u{1885} \u{1886} \u{A9BD} \u{111C9} \u{1171E}",
    ]);
}

/// In a word, between words, and under a mark.
#[test]
fn every_code_point_gives_the_same_tokens() {
    let mut text = String::new();
    let mut texts = Vec::new();
    for c in '\0'..=char::MAX {
        write!(text, "{c} a{c}b {c}\u{327}\u{301}{c} ").unwrap();
        if u32::from(c) % 64 == 63 {
            texts.push(std::mem::take(&mut text));
        }
    }
    assert_equal(texts.iter().map(String::as_str));
}

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        4 => (0_u32..0x3000).prop_map(|c| char::from_u32(c).unwrap_or(' ').into()),
        4 => (0x300_u32..0x370).prop_map(|c| char::from_u32(c).unwrap_or(' ').into()),
        4 => (0_u8..128).prop_map(|c| char::from(c).into()),
        2 => (0x4E00_u32..0x5000).prop_map(|c| char::from_u32(c).unwrap_or(' ').into()),
        2 => (0xAC00_u32..0xAD00).prop_map(|c| char::from_u32(c).unwrap_or(' ').into()),
        4 => "[A-Za-zÀ-ÿ]{1,12}",
        2 => "[ \t\n\u{A0}.,'-]{1,3}",
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn random_texts_give_the_same_tokens(text in any_text()) {
        if let Some(difference) = difference(&text) {
            return Err(TestCaseError::fail(difference));
        }
    }
}

/// The judged retrieval sets are not part of the project: see `data_folder`.
#[test]
fn every_text_of_the_data_sets_gives_the_same_tokens_when_data_is_present() {
    let Some(data) = data_folder() else {
        eprintln!("skipped: the data sets are not here; name their folder in VECINO_DATA to check them");
        return;
    };
    let mut count = 0;
    for set in ["scifact", "cranfield", "med", "xquad_en"] {
        for file in ["corpus.jsonl", "queries.jsonl"] {
            let path = data.join(set).join(file);
            let lines = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for line in lines.lines() {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                let texts: Vec<&str> = ["title", "text"].iter().filter_map(|&field| record[field].as_str()).collect();
                count += texts.len();
                assert_equal(texts);
            }
        }
    }
    assert!(count > 0, "no texts in {}", data.display());
    eprintln!("{count} texts compared");
}

/// `VECINO_DATA`, or `shared/data` beside the workspace.
fn data_folder() -> Option<PathBuf> {
    match std::env::var_os("VECINO_DATA") {
        Some(folder) => Some(folder.into()),
        None => Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"))).filter(|path| path.is_dir()),
    }
}
