//! The `SUMM` section: what is said of a library without opening it.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    blob::Blob,
    error::Result,
    library::Library,
    model::{Field, LibraryInfo},
    shelf::Summary,
};

use super::{Contents, SUMM, contents};

/// The `SUMM` section.
#[derive(Serialize, Deserialize)]
pub(super) struct SummaryImage {
    info: LibraryInfo,
    fields: Vec<Field>,
    aliases: BTreeSet<Box<str>>,
    documents: u64,
    chunks: u64,
    measured_recall: Option<f32>,
}

impl SummaryImage {
    pub(super) fn of(library: &Library) -> Self {
        let Summary { info, fields, aliases, documents, chunks, measured_recall, .. } = library.summary();
        Self {
            info: (*info).clone(),
            fields: fields.list().to_vec(),
            aliases: (*aliases).clone(),
            documents: documents as u64,
            chunks: chunks as u64,
            measured_recall,
        }
    }
}

/// What is said of the library in a snapshot, without a look at the rest of it. `None` where that has to be opened to know: the
/// file is older than this section, or the section is damaged.
///
/// # Errors
/// As [`verify`](super::verify), for the header.
pub fn summary(name: &str, blob: &Blob) -> Result<Option<Summary>> {
    let bytes = blob.bytes();
    let Contents { seq, sections, .. } = contents(name, bytes)?;
    let found = sections.iter().find(|(found, sum)| found.tag == SUMM && found.damage(name, bytes, *sum).is_none());
    let image: Option<SummaryImage> = found.and_then(|(found, _)| postcard::from_bytes(found.content(bytes)).ok());
    let count = |number: u64| usize::try_from(number).ok();
    Ok(image.and_then(|image| {
        Some(Summary {
            info: Arc::new(image.info),
            fields: Arc::new(image.fields.into_iter().collect()),
            aliases: Arc::new(image.aliases),
            documents: count(image.documents)?,
            chunks: count(image.chunks)?,
            seq,
            measured_recall: image.measured_recall,
        })
    }))
}
