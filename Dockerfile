# warmpool as two images: what makes it is the same, what it may do is not.
#
#   docker build --target allocator -t warmpool/allocator .    (the last stage, so the default) runs without root
#   docker build --target node      -t warmpool/node .         runs as root, with bubblewrap: docs/deploy.md says with what
#
# Any base with Node 20 or newer at its PATH and Debian's apt-get will do. To pin one for good, name it by its digest:
# --build-arg BASE_IMAGE=node@sha256:…
ARG BASE_IMAGE=node:20-bookworm-slim

FROM ${BASE_IMAGE} AS build
# musl's wrapper makes the guest static and small; it needs a gcc, which it only recommends.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends musl-tools gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /opt/warmpool
# The dependencies first: as long as the lock is the same, this layer is. None of them needs its install script.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json LICENSE ./
COPY guest guest
COPY scripts scripts
COPY proto proto
COPY protocol protocol
COPY pools pools
COPY src src
# The addon of uWebSockets.js comes for every platform and every Node: all but ours is 250 MB for nothing.
RUN node guest/build.mjs \
 && node scripts/build.mjs \
 && npm prune --omit=dev --ignore-scripts --no-audit --no-fund \
 && addon="uws_linux_$(node -p 'process.arch + "_" + process.versions.modules').node" \
 && test -f "node_modules/uWebSockets.js/$addon" \
 && find node_modules/uWebSockets.js -name '*.node' ! -name "$addon" -delete \
 && rm -rf pools/images dist/*.tsbuildinfo \
 && find dist node_modules -name '*.map' -delete

FROM ${BASE_IMAGE} AS runtime
# tini is PID 1: it reaps what others leave behind, which Node does not, and passes signals on.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && groupadd --gid 10001 warmpool \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/warmpool --shell /usr/sbin/nologin warmpool \
 && install -d -m 0711 /var/lib/warmpool
WORKDIR /opt/warmpool
COPY --from=build /opt/warmpool/package.json /opt/warmpool/LICENSE ./
COPY --from=build /opt/warmpool/node_modules node_modules
COPY --from=build /opt/warmpool/proto proto
COPY --from=build /opt/warmpool/pools pools
COPY --from=build /opt/warmpool/src/store/redis/lua src/store/redis/lua
COPY --from=build /opt/warmpool/guest/build/warmpool-guest guest/build/warmpool-guest
COPY --from=build /opt/warmpool/dist dist
COPY deploy/container/healthcheck.mjs deploy/container/healthcheck.mjs
# Reachable from outside of the container, which the service refuses to be without an API key.
ENV NODE_ENV=production \
    WARMPOOL_GRPC_LISTEN=0.0.0.0:50051 \
    WARMPOOL_HTTP_LISTEN=0.0.0.0:8080 \
    WARMPOOL_DATA_LISTEN=0.0.0.0:8081 \
    WARMPOOL_STATE_DIR=/var/lib/warmpool
EXPOSE 50051 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "/opt/warmpool/deploy/container/healthcheck.mjs"]
ENTRYPOINT ["tini", "--", "node", "/opt/warmpool/dist/src/main.js"]
CMD ["serve"]

FROM runtime AS node
# A sandbox of a pool with `rootfs: host` has this image's /usr: what it shall find there is installed here.
ARG SANDBOX_PACKAGES="bash coreutils python3-minimal git curl ca-certificates"
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap ${SANDBOX_PACKAGES} \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
ENV WARMPOOL_ROLE=node
USER root
VOLUME /var/lib/warmpool

FROM runtime AS allocator
RUN chown warmpool:warmpool /var/lib/warmpool && chmod 0700 /var/lib/warmpool
ENV WARMPOOL_ROLE=allocator
USER 10001:10001
VOLUME /var/lib/warmpool
