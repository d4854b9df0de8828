//! The body of an answer that is not gRPC.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::metrics::Account;
use super::peek::json::Headers;
use super::settle::Ending;
use super::witness::Witness;
use crate::types::call::Broken;
use crate::types::ids::ClusterId;
use crate::types::method::Effect;
use crate::types::status::{Code, SHUTTING_DOWN, Status};
use crate::upstream::Failure;

/// Passes it on as it comes, until a drain ends it, or it is found to be of another cluster.
pub(super) struct Plain<B> {
    body: B,
    ending: Ending,
    /// Reads the revisions that pass by, unless what was gathered told it already.
    headers: Option<(Headers, Witness)>,
    account: Account,
}

impl<B> Plain<B> {
    /// `witness` of what the JSON gateway answers.
    pub fn new(body: B, ending: Ending, witness: Option<Witness>, account: Account) -> Self {
        let headers = witness.map(|witness| (Headers::new(), witness));
        Self { body, ending, headers, account }
    }

    fn look(&mut self, frame: &Frame<Bytes>) -> Option<ClusterId> {
        let (Some((headers, witness)), Some(data)) = (&mut self.headers, frame.data_ref()) else {
            return None;
        };
        let mut foreign = None;
        headers.on_data(data, |header| foreign = witness.on_header(header).or(foreign));
        foreign
    }

    /// Without trailers, an end before the end is all that there is to say.
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.account.on_code(status.code);
        Poll::Ready(Some(Err(Broken::Connection(status.message.to_string()))))
    }
}

impl<B: HttpBody<Data = Bytes, Error = Broken> + Unpin> HttpBody for Plain<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match this.look(&frame) {
                Some(foreign) => this.end(&Failure::Foreign(foreign).status(Effect::Read)),
                None => Poll::Ready(Some(Ok(frame))),
            },
            Poll::Pending => {
                let Some(ending) = &mut this.ending else { return Poll::Pending };
                ready!(ending.as_mut().poll(cx));
                this.end(&Status::new(Code::Unavailable, SHUTTING_DOWN))
            }
            ended => ended,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use http_body_util::{BodyExt, StreamBody};

    use crate::proxy::Watermark;
    use crate::proxy::metrics::{ProxyMetrics, WatermarkMetrics};
    use crate::telemetry::metrics::Metrics;
    use crate::types::gateway;
    use crate::types::ids::{EndpointId, Term};
    use crate::upstream::{From, Signals};

    /// An endless stream that begins with these parts, and the watermark that it raises.
    fn plain(
        parts: &[&str],
        effect: Effect,
    ) -> (Plain<impl HttpBody<Data = Bytes, Error = Broken> + Unpin + use<>>, Watermark) {
        let parts: Vec<_> =
            parts.iter().map(|part| Ok(Frame::data(Bytes::from((*part).to_owned())))).collect();
        let body = StreamBody::new(futures_util::stream::iter(parts));
        let watermark = Watermark::new(WatermarkMetrics::new(&Metrics::new()));
        let (endpoint, cluster) = (EndpointId(1), Some(ClusterId(7)));
        let from = From { endpoint, is_leader: true, epoch: 0, cluster, term: Term(2) };
        let witness = Witness { from, watermark: watermark.clone(), signals: Signals::default(), effect };
        let account = ProxyMetrics::new(&Metrics::new()).start(&gateway::GATEWAY, Instant::now());
        (Plain::new(body, None, Some(witness), account), watermark)
    }

    fn line(cluster: u64, revision: i64) -> String {
        let header = format!(r#"{{"cluster_id":"{cluster}","member_id":"2","revision":"{revision}"}}"#);
        format!("{{\"result\":{{\"header\":{header}}}}}\n")
    }

    #[tokio::test]
    async fn what_a_stream_shows_raises_the_watermark_wherever_it_is_cut() {
        let text = [line(7, 3), line(7, 4)].concat();
        for at in 1..text.len() {
            let (first, second) = text.split_at(at);
            let (plain, watermark) = plain(&[first, second], Effect::Read);
            assert_eq!(plain.collect().await.unwrap().to_bytes(), text);
            assert_eq!(watermark.revision(), 4, "cut at {at}");
        }
    }

    #[tokio::test]
    async fn a_read_ends_where_another_cluster_answers_it_and_a_mutation_is_told() {
        let (ours, others) = (line(7, 3), line(8, 9));
        let (mut read, watermark) = plain(&[&ours, &others, &ours], Effect::Read);
        assert_eq!(read.frame().await.unwrap().unwrap().into_data().unwrap(), ours);
        assert!(read.frame().await.unwrap().is_err());
        let (mutation, _) = plain(&[&others], Effect::Mutation);
        assert_eq!(mutation.collect().await.unwrap().to_bytes(), others);
        assert_eq!(watermark.revision(), 3);
    }
}
