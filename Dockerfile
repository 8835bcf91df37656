# CPU: docker build -t lungmask .
# GPU: docker build -t lungmask:gpu --build-arg LOCK=requirements-gpu.lock .
# Use: docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" lungmask segment xrays -o masks
#      and for a GPU with --gpus all, lungmask:gpu.

FROM python:3.12-slim-bookworm AS build
ARG LOCK=requirements.lock
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir "build>=1.2,<2" \
    && python -m venv /opt/lungmask
COPY ${LOCK} /src/locked.txt
RUN /opt/lungmask/bin/pip install --no-cache-dir --require-hashes --requirement /src/locked.txt
COPY pyproject.toml README.md LICENSE /src/
COPY lungmask_cli /src/lungmask_cli
COPY weights /src/weights
RUN /opt/build/bin/python -m build --wheel --outdir /dist /src \
    && /opt/lungmask/bin/pip install --no-cache-dir --no-deps /dist/*.whl \
    && /opt/lungmask/bin/pip check

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="lungmask" \
      org.opencontainers.image.description="Lung fields out of frontal chest radiographs. Research software, not a medical device. The weights are for research and education, non-commercial." \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/lungmask /opt/lungmask
# Below /tmp, so that --user may name anyone.
ENV PATH=/opt/lungmask/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/cache/matplotlib
RUN useradd --create-home --uid 1000 lungmask
USER 1000
WORKDIR /data
ENTRYPOINT ["lungmask"]
CMD ["--help"]
