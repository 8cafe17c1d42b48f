# The server, without torch, as a user without rights.
#
#   docker build -f docker/service.Dockerfile -t ijepa-service .
#   docker build -f docker/service.Dockerfile -t ijepa-service:gpu --build-arg RUNTIME=gpu .
#
# RUNTIME=gpu brings CUDA and cuDNN from PyPI; the host needs an NVIDIA driver and its container toolkit, nothing else.
# BASE is any Debian-like image with python3 (3.11 to 3.13) and its venv module.

ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
ARG RUNTIME=cpu
WORKDIR /src
RUN python3 -m venv /opt/ijepa
# What the project needs, from its metadata alone, in a layer of its own: a changed source installs nothing again.
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN case "${RUNTIME}" in cpu|gpu) ;; *) echo "RUNTIME is cpu or gpu, not ${RUNTIME}"; exit 1;; esac \
 && /opt/ijepa/bin/pip install --no-cache-dir -c constraints.txt ".[${RUNTIME}]"
COPY ijepa ijepa
COPY models models
COPY service service
RUN /opt/ijepa/bin/pip install --no-cache-dir --no-deps --force-reinstall . \
 && /opt/ijepa/bin/pip uninstall -q -y pip setuptools

FROM ${BASE}
RUN useradd --uid 10001 --create-home ijepa && mkdir /cache && chown ijepa /cache && chmod 1777 /cache
COPY --from=build /opt/ijepa /opt/ijepa
ENV PATH=/opt/ijepa/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    IJEPA_HOST=0.0.0.0 \
    IJEPA_PORT=8000 \
    XDG_CACHE_HOME=/cache
WORKDIR /home/ijepa
USER 10001
EXPOSE 8000
# In the image's own Python (a slim base has no curl), never through a proxy. It asks IJEPA_PORT: change the port by that.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os; from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:' + os.environ['IJEPA_PORT'] + '/health/ready', timeout=2)"]
ENTRYPOINT ["ijepa"]
CMD ["serve"]
