# The gateway as a small image that runs as nobody in particular.
#   docker build -t sluicegate .
#   docker run -v ./gateway.yaml:/etc/sluicegate/gateway.yaml:ro -p 19092-19102:19092-19102 sluicegate

FROM rust:1.95.0-bookworm AS build
WORKDIR /build
COPY . .
# The caches outlive the image's layers: a change of the sources compiles the sources only.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --bin sluicegate && cp target/release/sluicegate /sluicegate

FROM debian:bookworm-slim
# The trust store, for brokers and issuers with public certificates.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /sluicegate /usr/local/bin/sluicegate
COPY config/gateway.yaml /etc/sluicegate/gateway.yaml
# No name and no home: it owns no file and writes none.
USER 10001:10001
# The first ports of the example; the file decides which they are. 8090: health and metrics.
EXPOSE 19092-19102 8090
ENTRYPOINT ["sluicegate"]
CMD ["run", "--config", "/etc/sluicegate/gateway.yaml"]
