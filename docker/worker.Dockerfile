# The same as service.Dockerfile but for the last lines, so that both images share the layer that holds torch.
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

ENV PATH=/app/.venv/bin:$PATH \
    PIP_NO_CACHE_DIR=1

# A new named volume takes its owner from the folder it is mounted over, and service and worker share one: hence the
# folder here, and a fixed uid.
RUN useradd --uid 1000 --create-home --home-dir /var/lib/gauntlet gauntlet \
    && install --directory --owner=gauntlet --group=gauntlet /var/lib/gauntlet/checkpoints \
        /var/lib/gauntlet/keys

WORKDIR /app

# An editable install only notes where the sources lie, so it is made before they come: a change to them keeps this
# layer. The build needs a readme and one package to be there.
COPY pyproject.toml hatch_build.py requirements.lock ./
RUN mkdir gauntlet && touch README.md gauntlet/__init__.py
# `make install`, with the extras that who runs an image cannot add; the image has no make.
RUN python3.11 -m venv .venv \
    && .venv/bin/pip install --quiet --constraint requirements.lock --editable '.[server,s3,traces]'

# .dockerignore lists what comes along.
COPY . .
# The documents as a site, which the service shows at /guide/.
RUN python -m guide

# By number, so that an orchestrator can see that it is not root.
USER 1000:1000
CMD ["python", "-m", "worker"]
