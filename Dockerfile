# The image of the server: one static program on an empty root, without a shell.
#
#   docker build -t vecino .
#   docker run -v vecino:/data -p 7700:7700 -e VECINO_API_KEY=... vecino
#
# Build arguments: PROFILE is the cargo profile, VERSION goes into the labels.

# The manifests alone, each with an empty program: this stage runs often, but its result changes with the manifests only,
# and so the layer below that compiles all dependencies is kept until one of them changes.
FROM rust:1.95-slim-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' ! -name rust-toolchain.toml -delete \
    && find . -mindepth 2 -name Cargo.toml | while read -r manifest; do \
        mkdir -p "${manifest%/*}/src" "${manifest%/*}/it" \
        && : > "${manifest%/*}/src/lib.rs" \
        && echo 'fn main() {}' | tee "${manifest%/*}/src/main.rs" > "${manifest%/*}/it/main.rs"; \
    done \
    && find . -type d -empty -delete

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
ARG PROFILE=release
# Nothing of the system is needed at run time. With a target named, this holds for the program and not for build scripts.
ENV RUSTFLAGS="-C target-feature=+crt-static"
COPY --from=manifests /src .
RUN cargo build --locked --profile "$PROFILE" --package vecino-server --bin vecino --target "$(uname -m)-unknown-linux-gnu"
COPY . .
# The page's module for search in the browser; not optimised for size, unless `cargo xtask wasm` has made it before.
RUN test -f web/pkg/vecino_wasm.js || env -u RUSTFLAGS cargo xtask wasm --no-opt
# Cargo goes by the time of files, and what was copied may be older than what was compiled in its place.
RUN find engine server -name '*.rs' -exec touch {} + \
    && cargo build --locked --profile "$PROFILE" --package vecino-server --bin vecino --target "$(uname -m)-unknown-linux-gnu" \
    && mkdir -p /image/data \
    && cp "target/$(uname -m)-unknown-linux-gnu/$([ "$PROFILE" = dev ] && echo debug || echo "$PROFILE")/vecino" /image/ \
    && strip --strip-all /image/vecino

FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Vecino" \
      org.opencontainers.image.description="A vector database: one engine and one file, on a server and in a browser tab" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
# A number, so that engines which demand it can see that it is not root.
COPY --from=build --chown=10001:10001 /image /
USER 10001:10001
ENV VECINO_DATA_DIR=/data VECINO_LISTEN=0.0.0.0:7700
VOLUME /data
EXPOSE 7700
# The server answers open requests when it is told to end, for up to 10 seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["/vecino", "health"]
ENTRYPOINT ["/vecino"]
CMD ["serve"]
