//! Calls of etcdlet's own, on the way that a client's take.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use prost::Message;

use crate::proxy::caller::Caller;
use crate::proxy::frames::{Frames, framed};
use crate::proxy::{Proxy, peek};
use crate::types::call::{Body, Call, Reply, Wire};
use crate::types::client::Client;
use crate::types::method::Rpc;
use crate::types::status::{Code, GRPC_MESSAGE, grpc_status, percent_decode};

/// One request, and the messages of its answer.
pub(super) struct Answers {
    body: Body,
    frames: Frames,
    /// Of the head, where there are no messages.
    status: Option<String>,
}

impl Answers {
    pub async fn to(
        proxy: &Arc<Proxy>,
        client: &Arc<Client>,
        path: &'static str,
        request: &impl Message,
    ) -> Self {
        let call = Call {
            rpc: Rpc::of(path),
            wire: Wire::H2,
            head: Caller::by(&HeaderMap::new()).head(path),
            deadline: None,
            client: client.clone(),
            body: Body::Full(framed(request)),
        };
        let Reply { head, body } = proxy.call(call).await;
        let status = grpc_status(&head.headers).map(|code| describe(code, &head.headers));
        Self { body, frames: Frames::new(MESSAGE_MAX), status }
    }

    /// Why there is none is said in words.
    pub async fn next<M: Message + Default>(&mut self) -> Result<M, String> {
        loop {
            match self.frames.next() {
                Some(Ok(frame)) => return decode(&frame),
                Some(Err(_too_long)) => return Err("the answer is too long".to_owned()),
                None => {}
            }
            if let Some(status) = &self.status {
                return Err(status.clone());
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.frames.on_data(data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let code = grpc_status(&trailers).unwrap_or(Code::Unknown);
                        self.status = Some(describe(code, &trailers));
                    }
                },
                Some(Err(broken)) => return Err(broken.to_string()),
                None => return Err("the answer has ended".to_owned()),
            }
        }
    }
}

/// The first message of the answer.
pub(super) async fn ask<M: Message + Default>(
    proxy: &Arc<Proxy>,
    client: &Arc<Client>,
    path: &'static str,
    request: &impl Message,
) -> Result<M, String> {
    let first = async { Answers::to(proxy, client, path, request).await.next().await };
    let limited = tokio::time::timeout(ANSWER_LIMIT, Box::pin(first));
    limited.await.unwrap_or_else(|_elapsed| Err(format!("no answer within {ANSWER_LIMIT:?}")))
}

fn decode<M: Message + Default>(frame: &Bytes) -> Result<M, String> {
    let message = peek::message(frame).ok_or("the answer is compressed")?;
    M::decode(message).map_err(|error| error.to_string())
}

fn describe(code: Code, headers: &HeaderMap) -> String {
    let text = percent_decode(headers.get(&GRPC_MESSAGE).map_or(b"", |text| text.as_bytes()));
    format!("{}: {text}", code.name())
}

/// Longer than etcd itself takes for any call that does not wait.
const ANSWER_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Of one answer: ten thousand proxies with names of 1 KiB, and a little more.
const MESSAGE_MAX: usize = 16 << 20;
