//! The model in a tab gives the bits that it gives anywhere.

use js_sys::Uint8Array;
use vecino_wasm::Model;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

use super::{get, thrown};

const BYTES: &[u8] = include_bytes!("../../../models/static-minilm-256-int4.bin");

/// FNV-1a over the bits of the numbers.
fn fold(hash: u64, numbers: &[f32]) -> u64 {
    let bytes = numbers.iter().flat_map(|number| number.to_bits().to_le_bytes());
    bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[wasm_bindgen_test]
fn embeds_with_the_bits_of_the_engine() {
    let model = Model::load(&Uint8Array::from(BYTES)).unwrap();
    assert_eq!((model.name().as_str(), model.dimension()), ("static-minilm-256", 256));
    assert_eq!(model.fingerprint().len(), 64);
    let texts = ["How do birds find their way?", "Why is bread airy", "ÜNÏCODE café 東京 naïve", "a", "1969 moon landing"];
    let embed = |text: &str| model.embed(&text.into()).unwrap().unwrap();
    let hash = texts.iter().fold(0xCBF2_9CE4_8422_2325, |hash, text| fold(hash, &embed(text)));
    // The same number as on x86-64.
    assert_eq!(hash, HASH);
}

const HASH: u64 = 0x29B9_F7F0_5C93_BBB1;

#[wasm_bindgen_test]
fn knows_when_a_text_has_no_known_word() {
    let model = Model::load(&Uint8Array::from(BYTES)).unwrap();
    assert_eq!(model.embed(&"".into()).unwrap(), None);
    assert_eq!(model.embed(&"☃☃☃".into()).unwrap(), None);
    assert_eq!(model.count_tokens(&"".into()).unwrap(), 0);
    assert_eq!(model.count_tokens(&"birds of passage".into()).unwrap(), 3);
    for wrong in [JsValue::NULL, 5.into()] {
        assert_eq!(thrown(&model.embed(&wrong).unwrap_err()), ("wrong_type".into(), "text".into()));
        assert_eq!(thrown(&model.count_tokens(&wrong).unwrap_err()), ("wrong_type".into(), "text".into()));
    }
}

#[wasm_bindgen_test]
fn refuses_what_is_no_model() {
    let load = |bytes: &[u8]| Model::load(&Uint8Array::from(bytes)).unwrap_err();
    let mut flipped = BYTES.to_vec();
    flipped[1_000_000] ^= 1;
    for error in [load(b""), load(b"GIF89a"), load(&BYTES[..BYTES.len() - 1]), load(&flipped)] {
        assert_eq!(thrown(&error), ("damaged".into(), "model".into()));
        assert!(get(&error, "message").as_string().unwrap().starts_with("model: "));
    }
    assert_eq!(thrown(&Model::load(&"path".into()).unwrap_err()), ("wrong_type".into(), "bytes".into()));
}
