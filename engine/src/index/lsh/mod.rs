//! LSH.
