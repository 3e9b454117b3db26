# `kinoscope serve` on a CPU. Models are the host's, mounted read-only: see docs/serve.md.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 kinoscope && mkdir /index /served /models && chown kinoscope /index /served
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install --no-cache-dir '.[server]'

USER kinoscope
ENV KINOSCOPE_CACHE=/models KINOSCOPE_INDEX=/index HOME=/tmp
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["kinoscope"]
CMD ["serve", "--host", "0.0.0.0", "--cache", "/served"]
