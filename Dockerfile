# One image for every role; what a container does is its command (docker-compose.yml).
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
# Here each file is held to its hash. constraints.txt names the tests' packages too: they are
# fetched with the others, and stay behind with this stage.
COPY constraints.txt .
RUN python3 -m pip download --no-cache-dir --require-hashes --only-binary :all: \
    --dest wheels --requirement constraints.txt
# From those files alone, the build backend included. The venv needs no pip of its own.
COPY pyproject.toml README.md LICENSE ./
COPY worker worker
RUN python3 -m venv --without-pip /opt/kabar \
    && python3 -m pip --python /opt/kabar/bin/python install --no-cache-dir \
    --no-index --find-links wheels .

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/kabar /opt/kabar
ENV PATH=/opt/kabar/bin:$PATH
# config/kabar.toml and config/feeds.toml are looked for from here.
WORKDIR /srv/kabar
# Without a folder of the user's in their place, these are what pages are cleaned by.
COPY config/cleaning config/cleaning
COPY config/sites config/sites
COPY config/sources.toml config/
# What a new volume of models takes its owner from.
RUN install -d -o 10001 -g 10001 /var/lib/kabar/models
# A number, so that an engine can see that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["kabar"]
CMD ["--help"]
