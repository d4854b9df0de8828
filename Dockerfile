# etcdlet in an image with nothing else in it: no shell, no libraries, no certificates of authorities (so that
# upstream.tls.cacert must be given for https).
#
#   docker build -t etcdlet .                                from this source
#   docker build -t etcdlet --target prebuilt -f Dockerfile DIRECTORY
#                                                            from the static binary DIRECTORY/etcdlet

FROM scratch AS prebuilt
COPY etcdlet /etcdlet
USER 65532:65532
EXPOSE 2379 9379
ENTRYPOINT ["/etcdlet"]
CMD ["run", "--config", "/etc/etcdlet/etcdlet.yaml"]

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
# The base of what `/config` shows.
COPY config config
# Named in Cargo.toml.
COPY tests tests
COPY benches benches
RUN target=$(rustc -vV | sed -n 's/^host: //p') && \
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --bin etcdlet --target "$target" && \
    mv "target/$target/release/etcdlet" /etcdlet

FROM scratch
COPY --from=build /etcdlet /etcdlet
USER 65532:65532
EXPOSE 2379 9379
ENTRYPOINT ["/etcdlet"]
CMD ["run", "--config", "/etc/etcdlet/etcdlet.yaml"]
