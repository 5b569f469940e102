/// The kind of value that a model computes for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A logit for a prompt and an answer that are read together.
    CrossEncoder,
    /// The cosine of the embeddings of a prompt and an answer that are read separately.
    BiEncoder,
}
