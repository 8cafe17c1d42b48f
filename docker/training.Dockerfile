# Training, probing and exporting, as a user without rights. CUDA comes with torch from PyPI; without a GPU it runs on the CPU.
#
#   docker build -f docker/training.Dockerfile -t ijepa-training .
#   mkdir -p runs && docker run --rm --init --user "$(id -u):$(id -g)" -v "$PWD/runs:/runs" ijepa-training train debug --out /runs/debug
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
# What the project needs, from its metadata alone, in a layer of its own: a changed source installs nothing again.
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN /opt/ijepa/bin/pip install --no-cache-dir -c constraints.txt ".[cpu,train]" \
 && useradd --uid 10001 --create-home ijepa \
 && mkdir /runs /cache && chown ijepa /runs /cache && chmod 1777 /cache
COPY ijepa ijepa
COPY models models
COPY service service
COPY training training
RUN /opt/ijepa/bin/pip install --no-cache-dir --no-deps --force-reinstall .
# Any user id may run it (--user): the user has a name without an entry, and what is kept between runs goes to /cache.
ENV PATH=/opt/ijepa/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    LOGNAME=ijepa \
    XDG_CACHE_HOME=/cache \
    TORCHINDUCTOR_CACHE_DIR=/cache/torchinductor
WORKDIR /runs
USER 10001
ENTRYPOINT ["ijepa"]
CMD ["--help"]
