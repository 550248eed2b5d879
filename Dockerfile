# The default run, for machines without Python 3.11; README says how to start it.
FROM python:3.11-slim
WORKDIR /typefleet
COPY . .
RUN pip install --no-cache-dir --require-hashes -r requirements/run.txt && \
    pip install --no-cache-dir --no-deps --no-build-isolation .
CMD ["python", "scripts/simulate.py"]
