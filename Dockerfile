# The image of a node: what requirements/runtime.txt names, on Debian's own Python. How to build and run it is in
# README.md, "As a container"; `nox -s image` does both.

# What is in the image besides peatd, and what its list of Debian packages is made from.
FROM debian:bookworm-slim AS system
ARG DEBIAN_FRONTEND=noninteractive
# No set-user-id: nothing in there has a reason to become root. By number everywhere, or Kubernetes cannot see that it
# is not root.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old /var/log/* \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && echo 'peat:x:65532:65532::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'peat:x:65532:' >> /etc/group \
    && install --directory --owner=65532 --group=65532 --mode=0700 /data

FROM system AS build
ARG DEBIAN_FRONTEND=noninteractive
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ONLY_BINARY=:all: PIP_ROOT_USER_ACTION=ignore
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /build
COPY requirements/build.txt requirements/runtime.txt ./
# pip stays here: it installs into an environment that has none.
RUN python3 -m venv tools \
    && python3 -m venv --without-pip /opt/peat \
    && tools/bin/pip install --quiet --require-hashes --requirement build.txt \
    && tools/bin/pip --python /opt/peat/bin/python install --quiet --require-hashes --requirement runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY peatd peatd
COPY cli cli
# Bytecode that is valid whatever happens to the files' times on the way: a read-only root could not make it anew.
RUN tools/bin/hatchling build --target wheel --directory dist \
    && tools/bin/pip --python /opt/peat/bin/python install --quiet --no-index --no-deps dist/*.whl \
    && /opt/peat/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/peat/lib
COPY deploy/image/sbom.py ./
COPY --from=system /var/lib/dpkg dpkg
RUN tools/bin/python sbom.py --site-packages /opt/peat/lib/python3.11/site-packages --dpkg dpkg --output peatd.cdx.json

FROM system
COPY --from=build /opt/peat /opt/peat
COPY --from=build /build/peatd.cdx.json /usr/share/sbom/peatd.cdx.json
ENV PATH=/opt/peat/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PEAT_DATA_DIR=/data
USER 65532:65532
# The one place that is written to. A volume, so that it is writable under a read-only root and outlives a container,
# whoever starts it.
VOLUME /data
# Mesh, HTTP API and probes, Yjs clients.
EXPOSE 11204 8081 8082
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["peat", "ready"]
ENTRYPOINT ["peatd"]
ARG VERSION=""
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="peatd" \
      org.opencontainers.image.description="Peer-to-peer replication of live documents for Kubernetes and the edge" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
