# Myna on a CPU. Build: docker build -t myna .   Run: docker run --rm -v "$HOME/music:/music:ro" -v "$PWD:/work" myna explore /music
FROM python:3.11-slim
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY stores stores
COPY pipeline pipeline
COPY model model
COPY dags dags
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir -c constraints.txt '.[report,search,serve]' \
  && useradd --create-home --uid 1000 listener
USER 1000
WORKDIR /work
ENTRYPOINT ["myna"]
CMD ["--help"]
