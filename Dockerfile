# The exporter's image. Everything in it is pinned: the base by version, the packages by version and hash.
FROM python:3.13.7-slim-bookworm AS build
WORKDIR /src
# Files in the wheel carry this time instead of that of the build.
ENV SOURCE_DATE_EPOCH=1767225600 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY docker/requirements-build.txt docker/requirements-build.txt
RUN python -m pip install --require-hashes -r docker/requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY dashboards/generated dashboards/generated
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels .

FROM python:3.13.7-slim-bookworm
WORKDIR /app
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY docker/requirements.txt requirements.txt
RUN python -m pip install --require-hashes -r requirements.txt
COPY --from=build /src/wheels wheels
RUN python -m pip install --no-deps --no-index wheels/*.whl
# A volume that is mounted here starts with this folder's owner, so that the exporter may write to it.
RUN install -d -o 10001 -g 10001 /var/lib/clipper-exporter
USER 10001:10001
# All addresses of the container, which publishes none by itself.
# So that memory that is free goes back to the system; see benchmarks/soak.py.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
ENV CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS=:9309
EXPOSE 9309
# It asks where the settings say: those that are environment variables, for it does not see the flags of a command.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["clipper-exporter", "health"]
ENTRYPOINT ["clipper-exporter"]
CMD ["serve"]
