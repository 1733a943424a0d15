use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{ModelError, StaticModel};

const TOKENS: &str = "[UNK]\ndog\nman\nbites\n##s\nanti";

/// The bytes of a model, with the numbers as they would be written.
struct Parts {
    rows: u32,
    dimension: u32,
    bits: u32,
    flags: u32,
    unknown: u32,
    tokens: Vec<u8>,
    scales: Vec<u16>,
    table: Vec<u8>,
}

impl Parts {
    /// Six tokens, two dimensions of 8 bits: `dog` is (3, 4) at scale 1, `man` (0, -2) at scale 0.5, `anti` minus `dog`.
    fn small() -> Self {
        Parts {
            rows: 6,
            dimension: 2,
            bits: 8,
            flags: 15,
            unknown: 0,
            tokens: TOKENS.into(),
            scales: vec![0x3C00, 0x3C00, 0x3800, 0x3C00, 0x0001, 0x3C00],
            table: [[9, 9], [3, 4], [0, -2], [1, 0], [0, 1], [-3, -4]]
                .iter()
                .flatten()
                .map(|&x: &i8| x.cast_unsigned())
                .collect(),
        }
    }

    /// The same numbers in 4 bits.
    fn packed(mut self) -> Self {
        let nibble = |byte: u8| byte.wrapping_add(8) & 15;
        self.bits = 4;
        self.table[..2].fill(7);
        self.table = self.table.chunks(2).map(|pair| nibble(pair[0]) | nibble(pair[1]) << 4).collect();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let pad = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(16), 0);
        let mut body = self.tokens.clone();
        pad(&mut body);
        body.extend(self.scales.iter().flat_map(|scale| scale.to_le_bytes()));
        pad(&mut body);
        body.extend(&self.table);

        let mut bytes = b"SEMBED01".to_vec();
        let vocabulary = self.tokens.len() as u32;
        for word in [self.rows, self.dimension, self.bits, self.flags, self.unknown, vocabulary] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([0; 32]);
        bytes.extend(Sha256::digest(&body));
        bytes.extend(body);
        bytes
    }

    fn read(&self) -> Result<StaticModel, ModelError> {
        StaticModel::from_bytes(self.bytes())
    }
}

/// The error of the small model after a change.
fn refusal(change: impl FnOnce(&mut Parts)) -> ModelError {
    let mut parts = Parts::small();
    change(&mut parts);
    parts.read().expect_err("a broken model")
}

#[test]
fn rows_are_added_and_scaled_to_length_one() {
    for parts in [Parts::small(), Parts::small().packed()] {
        let model = parts.read().unwrap();
        assert_eq!((model.dimension(), model.name()), (2, "static-minilm-2"));
        assert_eq!(model.embed("Dog"), Some(vec![0.6, 0.8]));
        assert_eq!(model.embed("dog man man man man"), Some(vec![1.0, 0.0]));
        assert_eq!(model.embed("dog what"), model.embed("dog"), "[UNK] counts for nothing");
        assert_eq!(model.tokenize("dogs, man"), [1, 4, 0, 2]);
        assert_eq!(model.count_tokens("dogs, man"), 4);
    }
}

#[test]
fn a_text_without_meaning_has_no_embedding() {
    let model = Parts::small().read().unwrap();
    for text in ["", "  ", "what", "dog anti"] {
        assert_eq!(model.embed(text), None, "{text:?}");
    }
}

#[test]
fn the_fingerprint_is_the_sum_of_the_body() {
    let bytes = Parts::small().bytes();
    let sum: String = bytes[64..96].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(StaticModel::from_bytes(bytes).unwrap().fingerprint(), sum);
}

#[test]
fn half_precision_numbers_are_exact() {
    let bits = [0x3C00, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x3555];
    let values = [1.0, 5.960_464_5e-8, 6.097_555e-5, 6.103_515_6e-5, 65504.0, 0.333_251_95];
    for (bits, value) in bits.into_iter().zip(values) {
        assert_eq!(super::model::positive_half(bits), Some(value), "{bits:#06x}");
    }
}

#[test]
fn a_broken_header_is_refused_by_field_and_number() {
    use ModelError as E;
    assert_eq!(StaticModel::from_bytes(&b"SEMBED01"[..]).unwrap_err(), E::NoHeader { actual: 8 });
    let mut bytes = Parts::small().bytes();
    bytes[7] = b'2';
    assert_eq!(StaticModel::from_bytes(bytes).unwrap_err(), E::Magic { found: *b"SEMBED02" });
    let field = |error| match error {
        E::Header { field, found, .. } => (field, found),
        other => panic!("{other}"),
    };
    assert_eq!(field(refusal(|p| p.rows = 0)), ("n", 0));
    assert_eq!(field(refusal(|p| p.dimension = 0)), ("d", 0));
    assert_eq!(field(refusal(|p| (p.bits, p.dimension) = (4, 3))), ("d", 3));
    assert_eq!(field(refusal(|p| p.bits = 5)), ("bits", 5));
    assert_eq!(field(refusal(|p| p.flags = 7)), ("flags", 7));
    assert_eq!(field(refusal(|p| p.unknown = 6)), ("unk", 6));
    assert_eq!(
        refusal(|p| p.flags = 7).to_string(),
        "model: field `flags` is 7, but must be 15 (an uncased BERT tokenizer, vectors of length one)"
    );
}

#[test]
fn lengths_are_checked_without_overflow() {
    for (rows, dimension) in [(7, 2), (6, 3), (u32::MAX, u32::MAX), (1 << 31, 1 << 31)] {
        let error = refusal(|p| (p.rows, p.dimension) = (rows, dimension));
        assert!(matches!(error, ModelError::Length { actual: 156, .. }), "{error}");
    }
    let mut bytes = Parts::small().bytes();
    bytes[28..32].fill(0xFF);
    let error = StaticModel::from_bytes(bytes).unwrap_err();
    assert!(matches!(error, ModelError::Length { .. }), "{error}");
}

#[test]
fn a_broken_body_is_refused_by_row_and_number() {
    use ModelError as E;
    let mut bytes = Parts::small().bytes();
    bytes[150] ^= 1;
    assert!(matches!(StaticModel::from_bytes(bytes), Err(E::Checksum { .. })));
    let utf8 = refusal(|p| p.tokens[7] = 0xFF);
    assert_eq!(utf8, E::VocabularyText { offset: 103 });
    let many = refusal(|p| p.tokens[8] = b'\n');
    assert_eq!(many, E::VocabularySize { rows: 6, found: 7 });
    let twice = refusal(|p| p.tokens[10..13].copy_from_slice(b"dog"));
    assert_eq!(twice, E::DuplicateToken { row: 2, first: 1 });
    assert_eq!(refusal(|p| p.unknown = 1), E::UnknownToken { row: 1 });
    let none = refusal(|p| p.tokens = b"[UNK]\n\nman\nbites\n##s\nanti".into());
    assert_eq!(none, E::EmptyToken { row: 1 });
    for bits in [0x0000, 0x7C00, 0x7E01, 0xBC00, 0x8000] {
        assert_eq!(refusal(|p| p.scales[3] = bits), E::Scale { row: 3, bits });
    }
}

#[test]
fn damaged_files_are_refused_and_never_panic() {
    let whole = Parts::small().bytes();
    assert!(StaticModel::from_bytes(whole.clone()).is_ok());
    for at in 0..whole.len() {
        assert!(StaticModel::from_bytes(whole[..at].to_vec()).is_err(), "cut to {at} bytes");
        for flip in 1..=u8::MAX {
            let mut flipped = whole.clone();
            flipped[at] ^= flip;
            // Only the teacher's sum, which is for people, may change.
            assert_eq!(StaticModel::from_bytes(flipped).is_ok(), (32..64).contains(&at), "byte {at} with {flip:#x}");
        }
    }
}

proptest! {
    #[test]
    fn a_correct_sum_over_nonsense_does_not_lead_to_a_panic(
        numbers in prop::array::uniform5(prop_oneof![0_u32..40, Just(u32::MAX), any::<u32>()]),
        tokens in prop_oneof![Just(TOKENS.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..40)],
        scales in prop::collection::vec(any::<u16>(), 0..12),
        table in prop::collection::vec(any::<u8>(), 0..40),
        text in any::<String>(),
    ) {
        let [rows, dimension, bits, flags, unknown] = numbers;
        let parts = Parts { rows, dimension, bits, flags, unknown, tokens, scales, table };
        if let Ok(model) = parts.read() {
            model.embed(&text);
        }
    }

    #[test]
    fn any_table_and_any_text_give_length_one_or_nothing(
        table in prop::collection::vec(any::<u8>(), 12),
        scales in prop::collection::vec(1_u16..0x7C00, 6),
        text in "(dog|man|bites|s|anti| |\\PC){0,30}",
    ) {
        let model = Parts { table, scales, ..Parts::small() }.read().unwrap();
        prop_assert_eq!(model.count_tokens(&text), model.tokenize(&text).len());
        if let Some(vector) = model.embed(&text) {
            let length = vector.iter().map(|x| x * x).sum::<f32>();
            prop_assert!((length - 1.0).abs() < 1e-5, "{}", length);
        }
    }
}
