//! Letting a library in memory lie in the snapshot that was made of it.

use crate::{
    blob::Blob,
    error::{Error, Result},
    library::Library,
    model::Id,
    texts::Texts,
    vectors::Vectors,
};

use super::{HEADER, TEXT, VECS, mapped, verify};

/// The rows and texts of a library as they lie in its snapshot, to take the place of those that are held in memory.
#[derive(Clone, Debug)]
pub struct InPlace {
    then: Library,
    texts: Texts,
    vectors: Vectors,
}

impl InPlace {
    /// Finds them in the snapshot of `library`. Cost: one pass over the bytes for the checksums.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn of(library: &Library, name: &str, blob: &Blob) -> Result<Self> {
        let (_, sections) = verify(name, blob.bytes())?;
        let missing = |tag: &str| Error::damaged(name, HEADER as u64, format!("section {tag} is missing"));
        let section = |tag| sections.iter().find(|found| found.tag == tag);
        let (text, vecs) = section(TEXT).zip(section(VECS)).ok_or_else(|| missing("TEXT or VECS"))?;
        let lens = (0..library.chunks.len() as u32).map(|slot| library.texts.get(slot).len()).collect();
        let (rows, dimension) = (library.chunks.len(), library.vectors.dimension());
        let (texts, vectors) = mapped(name, blob, (text, lens), (Some(vecs), rows, dimension))?;
        Ok(Self { then: library.clone(), texts, vectors })
    }

    /// The library.
    pub fn library(&self) -> &Id {
        &self.then.info.id
    }
}

impl Library {
    /// Lets what has not changed since its snapshot was made lie there, and gives the memory back. Answers stay as they are.
    pub(crate) fn rest_on(&mut self, place: &InPlace) {
        let InPlace { then, texts, vectors } = place;
        let mut resting = (self.texts.clone(), self.vectors.clone());
        if resting.0.rest_on(&then.texts, texts) && resting.1.rest_on(&then.vectors, vectors) {
            (self.texts, self.vectors) = resting;
        }
    }
}
