# Training, probing and exporting, as a user without rights. CUDA comes with torch from PyPI; without a GPU it runs on the CPU.
#
#   docker build -f docker/training.Dockerfile -t ijepa-training .
#   docker run --rm -v "$PWD/runs:/runs" --user "$(id -u)" ijepa-training train debug --out /runs/debug
#
# BASE is any Debian-like image with python3 (3.11 to 3.13), its headers and its venv module.

ARG BASE=python:3.12-slim-bookworm

FROM ${BASE}
# run.compile=true compiles kernels while it runs
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python3 -m venv /opt/ijepa
COPY constraints.txt pyproject.toml README.md LICENSE ijepa.py ./
COPY models models
COPY service service
COPY training training
RUN /opt/ijepa/bin/pip install --no-cache-dir -c constraints.txt ".[cpu,train]" \
 && useradd --uid 10001 --create-home ijepa \
 && mkdir /runs && chown ijepa /runs
# Any user id may run it (--user), so what is written outside /runs goes to /tmp, and the user has a name without an entry.
ENV PATH=/opt/ijepa/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    LOGNAME=ijepa \
    XDG_CACHE_HOME=/tmp/cache \
    TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor
WORKDIR /runs
VOLUME /runs
USER 10001
ENTRYPOINT ["ijepa"]
CMD ["--help"]
