//! The body of an answer that is not gRPC.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::metrics::Account;
use super::peek::json::Headers;
use super::settle::Ending;
use super::watermark::Watermark;
use crate::types::call::Broken;
use crate::types::status::SHUTTING_DOWN;
use crate::upstream::From;

/// Passes it on as it comes, until a drain ends it.
pub(super) struct Plain<B> {
    body: B,
    ending: Ending,
    /// Reads the revisions that pass by, unless what was gathered told it already.
    headers: Option<(Headers, Watermark, From)>,
    _account: Account,
}

impl<B> Plain<B> {
    /// `watermark` is raised by what the JSON gateway answers.
    pub fn new(body: B, ending: Ending, watermark: Option<(Watermark, From)>, account: Account) -> Self {
        let headers = watermark.map(|(watermark, from)| (Headers::new(), watermark, from));
        Self { body, ending, headers, _account: account }
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
        match (Pin::new(&mut this.body).poll_frame(cx), &mut this.ending) {
            // Without trailers, an end before the end is all that there is to say.
            (Poll::Pending, Some(ending)) => {
                ready!(ending.as_mut().poll(cx));
                Poll::Ready(Some(Err(Broken::Connection(SHUTTING_DOWN.to_owned()))))
            }
            (frame, _) => {
                if let (Some((headers, watermark, from)), Poll::Ready(Some(Ok(frame)))) =
                    (&mut this.headers, &frame)
                    && let Some(data) = frame.data_ref()
                {
                    headers.on_data(data, |header| watermark.on_answer(header, *from));
                }
                frame
            }
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

    use crate::proxy::metrics::{ProxyMetrics, WatermarkMetrics};
    use crate::telemetry::metrics::Metrics;
    use crate::types::gateway;
    use crate::types::ids::{ClusterId, EndpointId, Term};

    const FROM: From = From {
        endpoint: EndpointId(1),
        is_leader: true,
        epoch: 0,
        cluster: Some(ClusterId(7)),
        term: Term(2),
    };

    fn line(cluster: u64, revision: i64) -> String {
        format!(
            r#"{{"result":{{"header":{{"cluster_id":"{cluster}","member_id":"2","revision":"{revision}"}}}}}}"#
        ) + "\n"
    }

    fn account() -> Account {
        ProxyMetrics::new(&Metrics::new()).start(&gateway::GATEWAY, Instant::now())
    }

    #[tokio::test]
    async fn what_a_stream_shows_raises_the_watermark_wherever_it_is_cut() {
        let text = [line(7, 3), line(7, 4)].concat();
        for at in 1..text.len() {
            let watermark = Watermark::new(WatermarkMetrics::new(&Metrics::new()));
            let (first, second) = text.split_at(at);
            let frames = [first, second].map(|part| Ok(Frame::data(Bytes::from(part.to_owned()))));
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let plain = Plain::new(body, None, Some((watermark.clone(), FROM)), account());
            assert_eq!(plain.collect().await.unwrap().to_bytes(), text);
            assert_eq!(watermark.revision(), 4, "cut at {at}");
        }
    }
}
