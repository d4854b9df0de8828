//! Limits of the data path.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of one request that may be read ahead of its sending. A larger request streams.
    pub retry_buffer: usize,
    /// The same for all requests of a thread together; beyond it requests stream.
    pub retry_buffer_total: usize,
}
