//! The embedding model that is shipped: that it is the measured one, and that it gives the published figures.

use sha2::{Digest, Sha256};
use vecino_engine::embed::StaticModel;

pub(crate) static FILE: &[u8] = include_bytes!("../../models/static-minilm-256-int4.bin");

fn cosine(model: &StaticModel, a: &str, b: &str) -> f32 {
    let embed = |text| model.embed(text).expect("a text with known words");
    embed(a).iter().zip(embed(b)).map(|(x, y)| x * y).sum()
}

#[test]
fn the_shipped_model_is_the_one_that_was_measured() {
    let sum: String = Sha256::digest(FILE).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum, "52409fb7f880dafaf415919ac0c2d7c802f04e14fd2152f34d19b7dec1831ddf");
    let model = StaticModel::from_bytes(FILE).unwrap();
    assert_eq!((model.name(), model.dimension()), ("static-minilm-256", 256));
    assert_eq!(model.fingerprint(), "580944ae4aebc7260fc8832c1767a164d002bc0e9a8652c23b7916d7f8410ca3");
}

#[test]
fn cosines_are_those_of_the_model_card() {
    let model = StaticModel::from_bytes(FILE).unwrap();
    let query = "how do I stop my dog from barking";
    for (text, expected) in [
        ("training a puppy to be quiet", "0.33"),
        ("stock prices fell sharply today", "0.06"),
        ("the tree has rough bark", "0.41"),
    ] {
        assert_eq!(format!("{:.2}", cosine(&model, query, text)), expected, "{text}");
    }
}

#[test]
fn an_embedding_has_the_same_bits_on_every_machine() {
    let model = StaticModel::from_bytes(FILE).unwrap();
    let text = "Vecino is Spanish for neighbour: naïve, 東京, e\u{301}clair, 3.14 %, electroencephalography.";
    let bits: Vec<u8> = model.embed(text).unwrap().iter().flat_map(|x| x.to_le_bytes()).collect();
    let sum: String = Sha256::digest(&bits).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum, "e58ee6df6620f06fb744c6da7f86b331d0cbcf68aca9b4422bcf96b7e6823de2");
}
