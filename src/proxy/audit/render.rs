//! The lines of a call, and of the watches that it creates.

use std::time::SystemTime;

use super::about::About;
use super::entry::{End, Entry, Told};
use super::line::Line;
use super::streams::{KeepAlives, Stream};
use super::tokens::Holder;

impl Entry {
    pub fn line(&self, told: &Told, end: &End) -> Vec<u8> {
        let Told { about, stream, answer, .. } = told;
        let mut line = self.begin_line(self.row.op);
        line.about(about);
        match stream {
            Stream::KeepAlive(KeepAlives { leases, leases_left_out }) => {
                line.ids("leases", leases);
                if *leases_left_out {
                    line.number("leases_left_out", true);
                }
            }
            Stream::None => {}
            Stream::Watch(watches) => {
                line.number("creates", watches.creates);
                line.number("cancels", watches.cancels);
            }
        }
        line.facts(answer.as_slice());
        if let Some(status) = end.http {
            line.number("http_status", status.as_u16());
        }
        line.end_of_call(end);
        if told.revision != 0 {
            line.number("revision", told.revision);
        }
        self.answerer(told, &mut line);
        line.duration(self.started.elapsed());
        if !matches!(stream, Stream::None) {
            line.number("messages_in", told.messages_in);
            line.number("messages_out", told.messages_out);
        }
        line.number("bytes_in", told.bytes_in);
        line.number("bytes_out", told.bytes_out);
        line.end()
    }

    /// Its endpoint, or where that is not known its id.
    fn answerer(&self, told: &Told, line: &mut Line) {
        let view = self.office.views.borrow().clone();
        let known = view.members.iter().find(|member| match told.endpoint {
            Some(endpoint) => member.endpoint.id == endpoint,
            None => told.member.is_some() && member.id() == told.member,
        });
        match (known, told.member) {
            (Some(member), _) => line.text("member", &member.endpoint.address.to_string()),
            (None, Some(id)) => line.display("member", id),
            (None, None) => {}
        }
    }

    /// Of a watch that was asked for.
    pub fn created(&self, create: &About, more: impl FnOnce(&mut Line)) -> Vec<u8> {
        let mut line = self.begin_line("watch-create");
        line.about(create);
        more(&mut line);
        line.end()
    }

    /// Who it is, and what is done.
    fn begin_line(&self, op: &str) -> Line {
        let mut line = Line::new(SystemTime::now());
        line.display("peer", self.client.peer);
        if let Some(name) = &self.client.common_name {
            line.text("common_name", cut(name));
        }
        if let Some(Holder { user, hash }) = &self.holder {
            if let Some(user) = user {
                line.text("user", cut(user));
            }
            line.display("token_hash", format_args!("{hash:x}"));
        }
        if let Some(agent) = &self.agent {
            line.text("user_agent", cut(&String::from_utf8_lossy(agent.as_bytes())));
        }
        // Not the query, which may have a value in it.
        line.text("path", cut(self.uri.path()));
        line.text("op", op);
        line
    }
}

impl Line {
    pub fn end_of_call(&mut self, end: &End) {
        self.text("code", end.code.name());
        if let Some(error) = &end.error {
            self.text("error", cut(error));
        }
    }
}

/// A text of somebody else's, as far as it is told.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// More than a name or a path has.
pub(super) const TEXT_MAX: usize = 512;
